# SPDX-License-Identifier: BSD-3-Clause
"""The two ends of a wire between processes: one listens at a path, the other connects, again and again.

A thread of the wire checks it a few times per second. If the peer goes, the wire waits for it with the link down.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path

from dataplane.errors import ConfigError, PortError
from dataplane.files.private_socket import check_path, is_listening, is_ours, listen
from dataplane.pmd.model.datapath.engine import Engine
from dataplane.pmd.model.netem.conditions import Netem
from dataplane.pmd.model.shared import CardLock
from dataplane.pmd.model.wire.greeting import HELLO, WireRefused, hear, make_memory, say
from dataplane.pmd.model.wire.peer import PeerWire

__all__ = ["WireEnd"]

log = logging.getLogger("dataplane")

LOOK = 0.05  # seconds between two looks
GREETING = 2.0  # seconds until a caller that has not greeted is cut off
CALLERS = 8  # that may be greeting at a time


class WireEnd:
    """Plugged into `engine` of a card with that lock, until `close`. listens: at `path`, or connects to it.

    nudge: wakes the card, when a frame has come after a pause. netem, elastic: as a PeerWire's. Raises ConfigError for a
    port that has a wire and for a path that cannot be a socket's, PortError if another process listens there already.
    """

    def __init__(
        self,
        lock: CardLock,
        engine: Engine,
        path: Path,
        *,
        listens: bool,
        nudge: Callable[[], None] = lambda: None,
        netem: Netem | None = None,
        elastic: bool = True,
    ) -> None:
        self.path, self._lock, self._name, self._nudge = path, lock, engine.name, nudge
        self._stop = threading.Event()
        self._said, self._there, self._lost = "", False, 0
        self._greeting: list[tuple[socket.socket, float]] = []  # who has not greeted yet, and until when
        self._refused = False  # whether this look refused a caller
        check_path(path)
        with lock:
            self.wire = PeerWire(engine, netem, elastic=elastic)
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
        self._drop_all()
        self.wire.closer.wait(1.0)
        if self._listening is not None:
            self._listening.close()
            self.path.unlink(missing_ok=True)

    def _look_after(self) -> None:
        while not self._stop.is_set():
            self._refused = False
            try:
                self._look()
            except OSError as error:  # the process has no descriptor or no memory left: perhaps it has later
                self._say(f"it has to wait: {error.strerror}")
                self._refused = True
            self._pause()

    def _look(self) -> None:
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
        if there:
            self._drop_all()
        if self._listening is not None:
            self._answer(self._listening, there)
        elif not there and not self._greeting:
            self._call()
        self._greet()

    def _pause(self) -> None:
        """Wait until the next look, or until there is something to do."""
        waiting = [each for each, _ in self._greeting]
        if self._listening is not None and len(waiting) < CALLERS:
            waiting.append(self._listening)
        if waiting and not self._there and not self._refused:
            poll = select.poll()
            for each in waiting:
                poll.register(each, select.POLLIN)
            poll.poll(LOOK * 1000)
        elif self.wire.rest(LOOK):
            self._nudge()
            self._stop.wait(LOOK)  # a peer that wakes us all the time does it twenty times a second

    def _answer(self, listening: socket.socket, there: bool) -> None:
        """Let callers greet, unless a peer is connected."""
        with contextlib.suppress(BlockingIOError):
            while len(self._greeting) < CALLERS:
                caller, _ = listening.accept()
                if there or not is_ours(caller):
                    self._refuse(
                        caller, "another process has the other end" if there else "it belongs to another user"
                    )
                else:
                    self._greeting.append((caller, time.monotonic() + GREETING))

    def _call(self) -> None:
        caller = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        caller.setblocking(False)
        try:
            caller.connect(os.fspath(self.path))
            if not is_ours(caller):
                self._refuse(caller, "it belongs to another user")
                return
            say(caller, HELLO)
        except OSError as error:
            self._refuse(caller, f"no answer: {error.strerror}")
            return
        self._greeting.append((caller, time.monotonic() + GREETING))

    def _greet(self) -> None:
        """The first caller that has greeted becomes the peer; the others are refused."""
        for each in tuple(self._greeting):
            connection, until = each
            try:
                memory = hear(connection, self.wire.closer, memory=self._listening is None)
                if memory is None and time.monotonic() < until:
                    continue
                self._greeting.remove(each)
                if memory is None:
                    raise WireRefused(f"it does not greet: cut off after {GREETING:.0f} s")
                self._join(connection, memory)
            except (WireRefused, OSError) as error:
                if each in self._greeting:
                    self._greeting.remove(each)
                if isinstance(error, WireRefused) and error.answer:
                    with contextlib.suppress(OSError):
                        say(connection, error.answer)
                self._refuse(connection, str(error))
            else:
                self._drop_all()
                return

    def _join(self, connection: socket.socket, memory: int) -> None:
        """memory: what the peer gave; -1: we give it. Raises OSError."""
        first = memory < 0
        if first:
            memory = make_memory()
        try:
            if first:
                say(connection, HELLO, [memory])
            with self._lock:
                self.wire.connect(connection.fileno(), memory, first)
            connection.detach()  # it is the wire's now
        finally:
            os.close(memory)

    def _refuse(self, connection: socket.socket, why: str) -> None:
        self._refused = True
        if why:
            self._say(why)
        self.wire.closer.do(connection.close)  # discards unread messages, and may therefore block

    def _drop_all(self) -> None:
        for connection, _ in self._greeting:
            self.wire.closer.do(connection.close)
        self._greeting.clear()

    def _say(self, what: str) -> None:
        """Once, not twenty times a second."""
        if what != self._said:
            self._said = what
            log.warning("%s: wire to %s: %s", self._name, self.path, what)


def _listen_alone(path: Path) -> socket.socket:
    """A socket that listens at `path`. The socket of a process that has ended is replaced. Raises ConfigError, PortError."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise ConfigError(f"{path}: there is something that is no socket: choose another name")
        if is_listening(path, socket.SOCK_SEQPACKET):
            raise PortError(
                f"{path}: another wire already listens there: use connect:{path} for the other end"
            )
        path.unlink(missing_ok=True)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise PortError(f"{path}: {error.strerror}: choose another name") from None
    return listen(path, socket.SOCK_SEQPACKET)
