# SPDX-License-Identifier: BSD-3-Clause
"""The server: sockets of the functions in a folder, one thread that listens to all of them.

    with NicServer(card, Path("/run/nic"), vfs=4) as server:
        server.run()

Whoever may open a socket may have its function: they are the user's alone (mode 0600), and the kernel says who connects.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import select
import selectors
import socket
import stat
import threading
from pathlib import Path

from dataplane.errors import ConfigError, PortError
from dataplane.pmd.datasheet import pci
from dataplane.pmd.model.card import Card
from dataplane.pmd.model.private_socket import is_ours, listen, process_of
from dataplane.pmd.model.server.devices import Device, PfDevice, VfDevice
from dataplane.pmd.model.server.session import Session
from dataplane.port import format_mac

__all__ = ["NicServer", "socket_names"]

log = logging.getLogger("dataplane")

HOUSEKEEPING = 0.1  # seconds
TOLD = "nic.json"  # in the folder: who serves, and who has which function


def socket_names(ports: int, vfs: int) -> list[str]:
    """The names of the sockets of a served card: "pf0.sock", "pf0.vf0.sock", ..."""
    names = []
    for port in range(ports):
        names.append(f"pf{port}.sock")
        names += [f"pf{port}.vf{vf}.sock" for vf in range(vfs)]
    return names


class NicServer:
    """Serves a threaded card, which it starts and stops. vfs: how many VFs of each port get a socket. doorbells: whether
    clients may map the tails of their queues; what they do with them is in no trace then.

    Raises ConfigError, and PortError for a folder that cannot be used.
    """

    def __init__(self, card: Card, folder: Path, vfs: int = 0, *, doorbells: bool = True) -> None:
        if not card.threaded:
            raise ConfigError("a card that is served runs by itself: make it with threaded=True")
        if not 0 <= vfs < pci.SRIOV_VFS:
            raise ConfigError(f"{vfs} VFs: 0 to {pci.SRIOV_VFS - 1} are possible")
        self.card, self.folder, self._doorbells = card, folder, doorbells
        self._selector = selectors.DefaultSelector()
        self._sessions: dict[Device, Session] = {}
        self._listening: dict[Path, socket.socket] = {}
        self._devices: dict[Path, Device] = {}
        self._processes: dict[Device, int] = {}  # of the clients
        self._wake, self._woken = socket.socketpair()
        self._stop = threading.Event()
        self._lock_fd = -1
        self._closed = False
        try:
            self._lock_fd = _claim_folder(folder)
            for port in range(len(card.ports)):
                self._open(PfDevice(card, port), folder / f"pf{port}.sock")
                for vf in range(vfs):
                    self._open(VfDevice(card, port, vf), folder / f"pf{port}.vf{vf}.sock")
            self._selector.register(self._woken, selectors.EVENT_READ, None)
            card.start()
            self._tell()
        except BaseException:
            self.close()
            raise

    @property
    def paths(self) -> list[Path]:
        """The sockets, in the order of `socket_names`."""
        return list(self._listening)

    @property
    def clients(self) -> list[str]:
        """The functions that somebody has."""
        return sorted(device.name for device in self._sessions)

    def run(self) -> None:
        """Serve until `stop`."""
        while not self._stop.is_set():
            for key, events in self._selector.select(HOUSEKEEPING):
                target = key.data
                if isinstance(target, Session):
                    self._attend(target, events)
                elif isinstance(target, Device):
                    self._accept(key.fileobj, target)  # type: ignore[arg-type]
            self._look_after()

    def stop(self) -> None:
        """End `run`; from any thread, or a signal's handler."""
        self._stop.set()
        with contextlib.suppress(OSError):
            self._wake.send(b"\0", socket.MSG_DONTWAIT)

    def close(self) -> None:
        """Every client loses its function, the sockets go, the card stops."""
        if self._closed:
            return
        self._closed = True
        for session in tuple(self._sessions.values()):
            self._end(session)
        for path, listening in self._listening.items():
            listening.close()
            path.unlink(missing_ok=True)
        if self._lock_fd >= 0:
            (self.folder / TOLD).unlink(missing_ok=True)
        self._selector.close()
        self._wake.close()
        self._woken.close()
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
        self.card.close()

    def __enter__(self) -> NicServer:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # ---- clients ----------------------------------------------------------------------------------------------

    def _open(self, device: Device, path: Path) -> None:
        path.unlink(
            missing_ok=True
        )  # of a server that was killed: the folder is locked, so there is no other
        listening = self._listening[path] = listen(path, socket.SOCK_STREAM)
        self._devices[path] = device
        self._selector.register(listening, selectors.EVENT_READ, device)

    def _accept(self, listening: socket.socket, device: Device) -> None:
        try:
            connection, _ = listening.accept()
        except OSError as error:  # who wanted something has gone, or there is no descriptor left
            if not isinstance(error, (BlockingIOError, InterruptedError, ConnectionError)):
                log.warning("%s: a client cannot be taken in: %s", device.name, error.strerror)
            return
        current = self._sessions.get(device)
        if current is not None and _is_gone(current.connection):
            self._end(current)
            current = None
        if current is not None or not is_ours(connection):
            why = "another client has it" if current is not None else "it belongs to another user"
            log.warning("%s: a client is turned away: %s", device.name, why)
            connection.close()
            return
        session = self._sessions[device] = Session(connection, device, self._doorbells)
        self._processes[device] = process_of(connection)
        self._selector.register(connection, selectors.EVENT_READ, session)
        self._tell()
        log.info("%s: a client has it (process %d)", device.name, process_of(connection))

    def _attend(self, session: Session, events: int) -> None:
        if self._sessions.get(session.device) is not session:
            return  # ended while this event was on its way
        was_blocked = session.blocked
        alive = True
        if events & selectors.EVENT_WRITE:
            alive = session.flush()
        if alive and events & selectors.EVENT_READ:
            alive = session.receive()
        if not alive:
            self._end(session)
        elif session.blocked != was_blocked:
            wanted = selectors.EVENT_WRITE if session.blocked else selectors.EVENT_READ
            self._selector.modify(session.connection, wanted, session)

    def _end(self, session: Session) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(session.connection)
        del self._sessions[session.device]
        session.end()
        if not self._closed:
            self._tell()
        if session.why:
            log.warning("%s: its client is cut off: %s", session.device.name, session.why)
        else:
            log.info("%s: its client is gone", session.device.name)

    def _tell(self) -> None:
        """Whoever looks into the folder sees who serves, and who has what. Whole at any time."""
        told = {
            "process": os.getpid(),
            "macs": {f"pf{port}": format_mac(self.card.mac(port)) for port in range(len(self.card.ports))},
            "clients": {
                path.stem: self._processes[device]
                for path, device in self._devices.items()
                if device in self._sessions
            },
        }
        new = self.folder / f".{TOLD}"
        try:
            new.write_text(json.dumps(told))
            new.replace(self.folder / TOLD)
        except OSError as error:
            log.warning("%s: what 'dataplane ports' shows is old: %s", self.folder / TOLD, error.strerror)

    def _look_after(self) -> None:
        for session in tuple(self._sessions.values()):
            if session.maps.lost:
                session.why = "it has cut short a file whose memory the device used"
                self._end(session)
        if self.card.report is not None:
            self.card.check()


def _claim_folder(folder: Path) -> int:
    """A descriptor that holds the folder's lock as long as it is open."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise PortError(f"{folder}: {error.strerror}: choose a folder that you may write to") from None
    try:
        status = os.fstat(fd)
        if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o022:
            raise PortError(
                f"{folder}: others may write there, and could put their sockets in place of ours: choose a folder that is "
                f"yours alone (chmod go-w)"
            )
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise PortError(
            f"{folder}: a NIC is served there already: stop it, or choose another folder"
        ) from None
    except BaseException:
        os.close(fd)
        raise
    return fd


def _is_gone(connection: socket.socket) -> bool:
    """Whether the other end has hung up, and that has not been read yet."""
    poll = select.poll()
    poll.register(connection, select.POLLRDHUP)
    return bool(poll.poll(0))
