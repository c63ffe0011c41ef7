# SPDX-License-Identifier: BSD-3-Clause
"""Tails of queues on a device behind messages: an address for each, so that hot loops write memory as on a card.

A server that offers its doorbells has them in memory that we map: nothing is between the loop and the device. For others
the addresses are words of our own, which a thread looks at: it sends what has changed, some 100 us later.
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import threading
from collections.abc import Iterable

from dataplane.errors import DataplaneError, DeviceError, DeviceTimeout
from dataplane.files.eventfd import is_eventfd
from dataplane.pmd.function import Bar, RegisterUse, Waker
from dataplane.pmd.vfio_user.client import Connection
from dataplane.pmd.vfio_user.framing import Incoming
from dataplane.pmd.vfio_user.messages import (
    Command,
    Malformed,
    Region,
    RegionAccess,
    RegionFlags,
    RegionInfo,
    RegionType,
    SparseMmap,
    unpack_capabilities,
)

__all__ = ["MappedTails", "PostedTails", "Tails", "tails_of"]

INTERVAL = 50e-6  # seconds
_REPLY_MOST = 1 << 16
_F_GET_SEALS, _SEAL_SHRINK = 1034, 0x2


def tails_of(bar: Bar, connection: Connection, regions: int) -> Tails:
    """The best way there is to the doorbells of a function, which its driver has described. regions: how many it has.

    Raises DeviceError for a server whose regions cannot be understood.
    """
    for index in range(Region.FIRST_OWN, min(regions, Region.FIRST_OWN + 8)):
        try:
            mapped = _map_region(connection, index, bar.registers)
        except Malformed as error:
            raise DeviceError(f"{connection.name}: region {index} cannot be understood: {error}") from None
        if mapped is not None:
            return mapped
    return PostedTails(bar, connection)


class Tails:
    """Of one function. `address` is asked for when queues are set up, `will_write` tells of writes by message.

    waker: what to do after a tail was written, None: nothing.
    """

    waker: Waker | None = None

    def __init__(self, name: str, offsets: frozenset[int]) -> None:
        self.name, self._offsets = name, offsets

    def address(self, offset: int) -> int:
        """Where to write the tail at that offset. Raises DeviceError for what is no tail."""
        if offset not in self._offsets:
            raise DeviceError(f"{self.name}: only the tails of queues can be mapped, not {offset:#x}")
        return self._address(offset)

    def _address(self, offset: int) -> int:
        raise NotImplementedError

    def will_write(self, offset: int, value: int) -> None:
        """That register is about to be written by a message."""

    def close(self) -> None:
        """The queues are off: no tail matters any more."""


class MappedTails(Tails):
    """Tails in memory of the server's: `areas` are parts of BAR0, from `start` on at the same offsets in the file `fd`.

    eventfd: wakes a server that rests, which the first word of the last area tells; -1: this server sees tails by itself.
    Descriptors stay the caller's. The memory is unmapped with its last user: a loop that still polls writes to valid pages.
    Raises DeviceError.
    """

    def __init__(
        self,
        name: str,
        offsets: frozenset[int],
        fd: int,
        start: int,
        areas: Iterable[tuple[int, int]],
        eventfd: int = -1,
    ) -> None:
        super().__init__(name, offsets)
        self._areas: list[tuple[int, int, mmap.mmap, int]] = []  # offset, size, memory, address
        try:
            if not fcntl.fcntl(fd, _F_GET_SEALS) & _SEAL_SHRINK:
                raise DeviceError(
                    f"{name}: the server's doorbells are not sealed: it could take them away under a loop"
                )
            for offset, size in areas:
                memory = mmap.mmap(fd, size, offset=start + offset)
                address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
                self._areas.append((offset, size, memory, address))
            if eventfd >= 0:
                if not self._areas or not is_eventfd(eventfd):
                    raise DeviceError(f"{name}: what the server is to be woken by is no eventfd")
                _, _, memory, address = self._areas.pop()
                self.waker = Waker(address, eventfd, memory)
        except (OSError, ValueError, OverflowError) as error:
            raise DeviceError(f"{name}: the server's doorbells cannot be mapped: {error}") from None

    def _address(self, offset: int) -> int:
        for start, size, _, address in self._areas:
            if 0 <= offset - start <= size - 4:
                return address + offset - start
        raise DeviceError(f"{self.name}: the server's doorbells do not have the tail at {offset:#x}")


class PostedTails(Tails):
    """Words of our own and a thread."""

    def __init__(self, bar: Bar, connection: Connection) -> None:
        super().__init__(bar.name, bar.registers.doorbells)
        self._bar, self._connection = bar, connection
        self._lock = threading.Lock()
        self._words: dict[int, ctypes.c_uint32] = {}
        self._sent: dict[int, int] = {}
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def _address(self, offset: int) -> int:
        if offset not in self._words:
            word = ctypes.c_uint32(self._bar.read32(offset))
            with self._lock:
                self._words[offset], self._sent[offset] = word, word.value
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"{self.name}-tails", daemon=True)
                self._thread.start()
        return ctypes.addressof(self._words[offset])

    def will_write(self, offset: int, value: int) -> None:
        if offset in self._words:
            with self._lock:
                self._words[offset].value = self._sent[offset] = value

    def close(self) -> None:
        self._end.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(INTERVAL):
            with self._lock:
                try:
                    self._pass_on()
                except DeviceTimeout:
                    continue  # a server that stands still may go on: what was not sent is sent then
                except DataplaneError:
                    return  # it is gone: those who poll hear of it elsewhere

    def _pass_on(self) -> None:
        """Send each tail that has changed."""
        for offset, word in self._words.items():
            value = word.value
            if value != self._sent[offset]:
                body = RegionAccess(offset, 0, 4).pack() + value.to_bytes(4, "little")
                self._connection.post(Command.REGION_WRITE, body)
                self._sent[offset] = value


def _map_region(connection: Connection, index: int, registers: RegisterUse) -> MappedTails | None:
    """The tails in a region of the server's own, if they are there. Raises DeviceError if they cannot be understood.

    A server that does not support WAKES, or was not sent it, sends one descriptor.
    """
    size = RegionInfo.struct_size()
    with _ask(connection, index, size) as reply:
        size = RegionInfo.unpack(reply.body).argsz
        if not RegionInfo.unpack(reply.body).flags & RegionFlags.CAPS or not size <= _REPLY_MOST:
            return None
    with _ask(connection, index, size) as reply:
        info = RegionInfo.unpack(reply.body)
        found = unpack_capabilities(reply.body, info.capabilities)
        areas = next((each.areas for each in found if isinstance(each, SparseMmap)), None)
        wakes = bool(info.flags & RegionFlags.WAKES)
        if (
            registers.doorbell_region is None
            or RegionType(*registers.doorbell_region) not in found
            or areas is None
            or len(reply.descriptors) != 1 + wakes
        ):
            return None
        fd, *eventfd = reply.descriptors
        return MappedTails(connection.name, registers.doorbells, fd, info.offset, areas, *eventfd)


def _ask(connection: Connection, index: int, size: int) -> Incoming:
    ask = RegionInfo(size, RegionFlags.WAKES, index, 0, 0, 0)
    return connection.request(Command.GET_REGION_INFO, ask.pack())
