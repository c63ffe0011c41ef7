# SPDX-License-Identifier: BSD-3-Clause
"""The server: sockets of the functions in a folder, one thread that listens to all of them.

    with NicServer(card, Path("/run/nic"), vfs=4) as server:
        server.run()

A process that may open a socket may use its function. The sockets are the user's alone (mode 0600), and the kernel
reports who connects.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from dataplane.errors import ConfigError, PortError
from dataplane.files.eventfd import never_waits
from dataplane.files.private_socket import is_ours, process_of
from dataplane.files.run_folder import RunFolder
from dataplane.memory.guard import losses
from dataplane.pmd.datasheet import pci
from dataplane.pmd.model.card import Card
from dataplane.pmd.model.server.account import Account, ClientQuotas, Limits
from dataplane.pmd.model.server.devices import Device, PfDevice, VfDevice
from dataplane.pmd.model.server.session import FDS_MOST, ClientSession
from dataplane.pmd.model.wire.explain import explain_wire
from dataplane.pmd.vfio_user.framing import Hangup
from dataplane.pmd.vfio_user.messages import Malformed
from dataplane.port import format_mac

__all__ = ["NicServer"]

log = logging.getLogger("dataplane")

HOUSEKEEPING = 0.1  # seconds from one to the next
_QUIET = 0.5  # seconds, while nothing is known to be done and no client says anything: each time costs 0.2 ms of CPU
TOLD = "nic.json"  # in the folder: who serves, and who has which function
_SLICE_NS = 100_000  # CPU time of a client's turn: one message, or as many as fit
_CREDIT_NS = (
    1_000_000  # CPU time that a client which was quiet may take before it waits for its turn like others
)
_STRICT_LOOK = 0.005  # seconds: how exactly a strict card knows when a client asked for something
_DEAF = 1.0  # seconds for which a socket is not listened to when no descriptor is left
_BEHIND = 5.0  # seconds that a client's descriptors may take to close
_BEHIND_LOOK = 0.001  # seconds from one look at them to the next
_LAST_WAIT = 0.1  # seconds for giving back what clients had; the end of the process does the rest
_READ, _WRITE, _ENDED = select.EPOLLIN, select.EPOLLOUT, select.EPOLLHUP | select.EPOLLERR


def _socket_names(ports: int, vfs: int) -> list[str]:
    """The names of the sockets of a served card: "pf0.sock", "pf0.vf0.sock", ..."""
    names = []
    for port in range(ports):
        names.append(f"pf{port}.sock")
        names += [f"pf{port}.vf{vf}.sock" for vf in range(vfs)]
    return names


class NicServer:
    """Serves a threaded card, which it starts and stops. vfs: how many VFs of each port get a socket. doorbells: whether
    clients may map the tails of their queues; what they do with them is in no trace then. limits: what a client may hold.

    The client that has cost the server the least CPU time is next. An error of one client, an unexpected exception included,
    ends only that client.

    Raises ConfigError, and PortError for a folder that cannot be used.
    """

    def __init__(
        self,
        card: Card,
        folder: Path,
        vfs: int = 0,
        *,
        doorbells: bool = True,
        limits: Limits | None = None,
    ) -> None:
        if not card.threaded:
            raise ConfigError("a card that is served runs by itself: make it with threaded=True")
        if not 0 <= vfs < pci.SRIOV_VFS:
            raise ConfigError(f"{vfs} VFs: must be 0 to {pci.SRIOV_VFS - 1}")
        self.card, self.folder, self._doorbells = card, folder, doorbells
        self._epoll = select.epoll()
        self._accounts: list[Account] = []
        self._sessions: dict[Account, ClientSession] = {}
        self._listening: dict[Account, socket.socket] = {}
        self._targets: dict[int, tuple[Account, bool]] = {}  # descriptor -> whose; whether it listens
        self._wake, self._woken = socket.socketpair()
        self._spare = os.open(
            os.devnull, os.O_RDONLY | os.O_CLOEXEC
        )  # to turn a client away when no other is left
        self._deaf: dict[Account, float] = {}  # until when
        # Clients that are not read from: until descriptors that they sent are closed, or this time has come
        self._behind: dict[ClientSession, float] = {}
        self._stop = threading.Event()
        self._place: RunFolder | None = None
        self._closed = False
        self._waiting: dict[Account, int] = {}  # who has something for us: what epoll said, and _CALLS
        self._pace = 0  # the cost that the account had which was served last
        self._looked, self._before = (
            card.clock.now_ns,
            card.clock.now_ns,
        )  # the last look at sockets, the one before it
        self._next_care = 0.0
        self._told, self._is_old = 0.0, False
        self._losses = losses()
        try:
            self._place = RunFolder(folder, parents=True, exclusive=True)
            devices: list[Device] = []
            for port in range(len(card.ports)):
                devices.append(PfDevice(card, port))
                devices += [VfDevice(card, port, vf) for vf in range(vfs)]
            pools = ClientQuotas(limits or Limits(), len(devices))
            pools.provide(devices)
            for device, name in zip(devices, _socket_names(len(card.ports), vfs), strict=True):
                self._open(Account(device, pools), name)
            self._epoll.register(self._woken, _READ)
            card.start()
            card.hear(True)
            self._tell()
        except BaseException:
            self.close()
            raise
        if not never_waits():
            log.warning(
                "no asynchronous reads here (fs.aio-max-nr): a client that fills its eventfds can hang the card"
            )

    @property
    def paths(self) -> list[Path]:
        """The sockets, in the order of `_socket_names`."""
        return [self.folder / f"{account.name}.sock" for account in self._accounts]

    @property
    def clients(self) -> list[str]:
        """The functions that have a client."""
        return sorted(account.name for account in self._sessions)

    def run(self, each: Callable[[], None] | None = None) -> None:
        """Serve until `stop`. each: called every tenth of a second, every half while no client says anything."""
        while not self._stop.is_set():
            if not self._look(0) and not self._waiting:
                self._look(self._patience())
            if self._waiting:
                self._serve(min(self._waiting, key=_cost))
            if self._behind:
                self._read_again()
            if time.monotonic() >= self._next_care:
                self._take_care()
                if each is not None:
                    each()

    def _patience(self) -> float:
        """Seconds until the next look at the sockets without a message."""
        if self._behind:
            return _BEHIND_LOOK
        if self._sessions and self.card.manner != "lenient":
            return _STRICT_LOOK
        has_work = self._is_old or self._deaf or self.card.report is not None
        return HOUSEKEEPING if has_work else _QUIET

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
        for account in tuple(self._sessions):
            self._end(account)
        for listening in self._listening.values():
            listening.close()
        if self._place is not None:
            self._place.close()
        self._epoll.close()
        self._wake.close()
        self._woken.close()
        if self._spare >= 0:
            os.close(self._spare)
        self.card.close()
        end = time.monotonic() + _LAST_WAIT
        for account in self._accounts:
            account.closer.wait(max(0.0, end - time.monotonic()))

    def __enter__(self) -> NicServer:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # ---- turns ------------------------------------------------------------------------------------------------

    def _look(self, patience: float) -> bool:
        """Note which clients have sent a message. Returns whether any has."""
        self._before, self._looked = self._looked, self.card.clock.now_ns
        found: dict[Account, int] = {}
        for descriptor, events in self._epoll.poll(patience):
            target = self._targets.get(descriptor)
            if target is not None:
                account, listens = target
                found[account] = found.get(account, 0) | (_CALLS if listens else events)
        for account in found.keys() - self._waiting.keys():
            # A quiet client may save up only a little of the time that it did not use.
            account.cost = max(account.cost, self._pace - _CREDIT_NS)
            session = self._sessions.get(account)
            if session is not None:
                session.empty_at = max(session.empty_at, self._before)
        self._waiting = found
        return bool(found)

    def _serve(self, account: Account) -> None:
        """One turn of a function, charged to it."""
        self._pace = max(self._pace, account.cost)
        began = time.thread_time_ns()
        what = self._waiting.pop(account)
        try:
            if what & _CALLS:
                self._accept(account)
            session = self._sessions.get(account)
            if session is not None and what & ~_CALLS:
                self._attend(account, session, what, began + _SLICE_NS)
        except Exception as error:  # whatever it is, it is this client's
            self._end(account, f"it has brought about {_described(error)}")
        account.cost += max(time.thread_time_ns() - began, 1)

    def _attend(self, account: Account, session: ClientSession, events: int, until: int) -> None:
        was_blocked = session.blocked
        try:
            if events & _WRITE:
                session.flush()
            if events & (_READ | _ENDED):
                while session.serve_next() and not session.behind and time.thread_time_ns() < until:
                    pass
        except Hangup:
            self._end(account)
            return
        except Malformed as error:
            self._end(account, str(error))
            return
        if session.behind:
            self._behind.setdefault(session, time.monotonic() + _BEHIND)
            self._epoll.modify(session.connection, _WRITE if session.blocked else 0)
        elif session.blocked != was_blocked:
            self._epoll.modify(session.connection, _WRITE if session.blocked else _READ)

    def _read_again(self) -> None:
        """Go on with the clients whose descriptors have been closed meanwhile."""
        for session, until in tuple(self._behind.items()):
            if not session.behind:
                del self._behind[session]
                if not session.blocked:
                    self._epoll.modify(session.connection, _READ)
            elif time.monotonic() >= until:
                self._end(session.account, "descriptors that it has sent do not close")

    # ---- who comes and goes -----------------------------------------------------------------------------------

    def _open(self, account: Account, name: str) -> None:
        assert self._place is not None
        listening = self._listening[account] = self._place.listen(name)
        self._accounts.append(account)
        self._listen(account)
        self._targets[listening.fileno()] = account, True

    def _listen(self, account: Account) -> None:
        self._epoll.register(self._listening[account], _READ)

    def _accept(self, account: Account) -> None:
        try:
            connection, _ = self._listening[account].accept()
        except (BlockingIOError, InterruptedError, ConnectionError):
            return  # the caller has gone
        except OSError as error:
            account.say(logging.WARNING, f"a client cannot be taken in: {error.strerror}")
            self._turn_away(account)
            return
        current = self._sessions.get(account)
        if current is not None and _is_gone(current.connection):
            self._end(account)
            current = None
        why = ""
        if current is not None:
            why = "another client has it"
        elif not is_ours(connection):
            why = "it belongs to another user"
        elif account.descriptors.used > account.descriptors.most - FDS_MOST:
            why = "descriptors that the last one sent do not close"
        if why:
            account.say(logging.WARNING, f"a client is turned away: {why}")
            connection.close()
            return
        session = self._sessions[account] = ClientSession(connection, account, self._doorbells)
        account.process = process_of(connection)
        self._targets[connection.fileno()] = account, False
        self._epoll.register(connection, _READ)
        self._tell()
        account.say(logging.INFO, f"a client has it (process {account.process})")
        session.empty_at = self._looked

    def _turn_away(self, account: Account) -> None:
        """No descriptor is left: the spare one serves to hang up, or epoll would tell of this client for ever."""
        if self._spare >= 0:
            os.close(self._spare)
            self._spare = -1
            with contextlib.suppress(OSError):
                connection, _ = self._listening[account].accept()
                connection.close()
        with contextlib.suppress(OSError):
            self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        if self._spare < 0:
            self._epoll.unregister(self._listening[account])
            self._deaf[account] = time.monotonic() + _DEAF

    def _end(self, account: Account, why: str = "") -> None:
        session = self._sessions.pop(account, None)
        if session is None:
            return
        self._behind.pop(session, None)
        self._targets.pop(session.connection.fileno(), None)
        with contextlib.suppress(OSError, ValueError):
            self._epoll.unregister(session.connection)
        try:
            session.end()
        except Exception as error:
            why += f"{'; and ' if why else ''}when it was let go there was {_described(error)}"
        if not self._closed:
            self._tell()
        if why:
            account.say(logging.WARNING, f"its client is cut off: {why}")
        else:
            account.say(logging.INFO, "its client is gone")

    # ---- the rest ---------------------------------------------------------------------------------------------

    def tell(self) -> None:
        """The card's wires have changed: update the file in the folder."""
        self._told = 0.0
        self._tell()

    def _tell(self) -> None:
        """Write the file in the folder that names this server, and the client of each function: now, or soon."""
        now = time.monotonic()
        self._is_old = now < self._told + HOUSEKEEPING / 2
        if self._is_old or self._place is None:
            return
        self._told = now
        told = {
            "process": os.getpid(),
            "macs": {f"pf{port}": format_mac(self.card.mac(port)) for port in range(len(self.card.ports))},
            "wires": {f"pf{port}": explain_wire(chip.engine) for port, chip in enumerate(self.card.ports)},
            "clients": {
                account.name: account.process for account in self._accounts if account in self._sessions
            },
        }
        try:
            self._place.write(TOLD, json.dumps(told))
        except (OSError, PortError) as error:
            log.warning("%s: what 'dataplane ports' shows is old: %s", self.folder / TOLD, error)

    def _take_care(self) -> None:
        now = time.monotonic()
        self._next_care = now + HOUSEKEEPING
        if self._is_old:
            self._tell()
        for account in [account for account, until in self._deaf.items() if until <= now]:
            del self._deaf[account]
            self._listen(account)
        if losses() != self._losses:
            self._losses = losses()
            for account, session in tuple(self._sessions.items()):
                if session.maps.lost:
                    self._end(account, "it has cut short a file whose memory the device used")
        if self.card.report is not None:
            self.card.check()


_CALLS = 1 << 30  # beside epoll's events: a client wants to connect


def _cost(account: Account) -> int:
    return account.cost


def _is_gone(connection: socket.socket) -> bool:
    """Whether the other end has hung up, and that has not been read yet."""
    poll = select.poll()
    poll.register(connection, select.POLLRDHUP)
    return bool(poll.poll(0))


def _described(error: Exception) -> str:
    """An exception that was not expected, and where it came from."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    where = f" ({Path(last.tb_frame.f_code.co_filename).name}:{last.tb_lineno})" if last is not None else ""
    return f"{type(error).__name__}: {error}{where}"
