# SPDX-License-Identifier: BSD-3-Clause
"""The two ends of a wire between processes: one listens at a path, the other connects, again and again.

A thread of the wire's looks after it a few times a second: whoever goes is waited for, and the link is down meanwhile.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import stat
import threading
from pathlib import Path

from dataplane.errors import ConfigError, PortError
from dataplane.pmd.model.engine import Engine
from dataplane.pmd.model.private_socket import PATH_MOST, is_ours, listen
from dataplane.pmd.model.shared import CardLock
from dataplane.pmd.model.wire_peer import PeerWire

__all__ = ["WireEnd"]

log = logging.getLogger("dataplane")

TICK = 0.05  # seconds
_BUFFER = 1 << 20  # bytes of frames under way, if the kernel allows so many


class WireEnd:
    """Plugged into `engine` of a card with that lock, until `close`. listens: at `path`, or connects to it.

    Raises ConfigError for a port that has a wire and for a path that cannot be a socket's, PortError if somebody else is
    there already.
    """

    def __init__(self, lock: CardLock, engine: Engine, path: Path, *, listens: bool) -> None:
        self.path, self._lock, self._name = path, lock, engine.name
        self._stop = threading.Event()
        self._said, self._there, self._lost = "", False, 0
        if len(os.fsencode(path)) > PATH_MOST:
            raise ConfigError(
                f"{path}: the name of a socket has at most {PATH_MOST} bytes: choose a shorter one"
            )
        with lock:
            self.wire = PeerWire(engine)
        try:
            self._listening = _listen_alone(path) if listens else None
        except BaseException:
            with lock:
                self.wire.close()
            raise
        self._thread = threading.Thread(target=self._look_after, name=f"wire-{engine.name}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Unplug; the other end sees its link go."""
        self._stop.set()
        self._thread.join()
        with self._lock:
            self.wire.close()
        if self._listening is not None:
            self._listening.close()
            self.path.unlink(missing_ok=True)

    def _look_after(self) -> None:
        while not self._stop.is_set():
            with self._lock:
                there, why, lost = self.wire.tend(), self.wire.why, self.wire.lost
            if there != self._there:
                self._there = there
                log.info(
                    "%s: wire to %s: %s",
                    self._name,
                    self.path,
                    "connected" if there else "its other end is gone",
                )
            if why is not None:
                self._say(why)
            elif lost != self._lost:
                self._lost = lost
                self._say("its other end takes nothing, and frames get lost")
            if self._listening is not None:
                self._answer(there)
            elif not there:
                self._call()
            self._stop.wait(TICK)

    def _answer(self, there: bool) -> None:
        """Whoever calls: the first is the peer, others are turned away."""
        assert self._listening is not None
        with contextlib.suppress(BlockingIOError):
            while True:
                caller, _ = self._listening.accept()
                if there or not is_ours(caller):
                    self._say("another process has the other end" if there else "it belongs to another user")
                    caller.close()
                else:
                    there = self._join(caller)

    def _call(self) -> None:
        caller = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        caller.setblocking(False)
        try:
            caller.connect(os.fspath(self.path))
        except OSError as error:
            self._say(f"nobody answers: {error.strerror}")
            caller.close()
            return
        if is_ours(caller):
            self._join(caller)
        else:
            self._say("it belongs to another user")
            caller.close()

    def _join(self, connection: socket.socket) -> bool:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        with self._lock:
            self.wire.connect(connection.detach())
        return True

    def _say(self, what: str) -> None:
        """Once, not twenty times a second."""
        if what != self._said:
            self._said = what
            log.warning("%s: wire to %s: %s", self._name, self.path, what)


def _listen_alone(path: Path) -> socket.socket:
    """Listens at `path`. A socket that a killed process left there is removed."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise ConfigError(f"{path}: there is something that is no socket: choose another name")
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
            probe.settimeout(1.0)
            probe.connect(os.fspath(path))
        raise PortError(f"{path}: somebody listens there already: the other end is connect:{path}")
    except FileNotFoundError:
        pass
    except ConnectionRefusedError:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise PortError(f"{path}: {error.strerror}: choose another name") from None
    return listen(path, socket.SOCK_SEQPACKET)
