# SPDX-License-Identifier: BSD-3-Clause
"""Arena: an address range, backed by hugepages where there are any, that mempools and descriptor rings are cut from.

A device sees an arena at an I/O virtual address (IOVA). Behind an IOMMU, or on the model, the arena chooses it: one
contiguous range, the same for every device it is mapped to, and never equal to the virtual address, so that a driver
which forgets to translate fails at once. Without an IOMMU the IOVA is the physical address, page by page: that is a
property of the process (`hold_physical`), because any port may send a packet of any mempool. Either way `iova_of` is one
look-up in a table.
"""

from __future__ import annotations

import ctypes
import itertools
import logging
import mmap
import os
import struct
import sys
import threading
import weakref
from bisect import bisect_right, insort
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dataplane.errors import ConfigError, MemoryExhausted, PortGone, check_new
from dataplane.files.sysfs import read_number
from dataplane.machine import keep_for_good
from dataplane.memory.memory_room import available

__all__ = [
    "Arena",
    "ArenaWatcher",
    "Block",
    "drop_physical",
    "free_hugepages",
    "hold_physical",
    "unwatch_arenas",
    "watch_arenas",
]

log = logging.getLogger("dataplane")

_MFD_CLOEXEC, _MFD_HUGETLB, _MFD_HUGE_SHIFT = 0x1, 0x4, 26
_PAGE_SIZES = {"1G": 1 << 30, "2M": 2 << 20}
_SYSFS = Path("/sys/kernel/mm/hugepages")

# IOVAs are handed out from 128 GiB up: below the 39 bits of the narrowest IOMMUs, far from every address a process has.
_IOVA_BASE = 0x20_0000_0000
_IOVA_LIMIT = 0x7F_0000_0000
_iova_lock = threading.Lock()
_iova_used: list[tuple[int, int]] = []
# Finalizers give ranges back through deques, which need no lock: the collector may run a finalizer in a thread that holds
# the lock. The next allocation sorts them in.
_iova_returned: deque[int] = deque()
_warned = False

_watch_lock = threading.RLock()
_arenas: weakref.WeakSet[Arena] = weakref.WeakSet()
_watchers: list[ArenaWatcher] = []
# Closed, but a device may still write to them: their memory stays until the process ends.
_kept: list[Arena] = []
_physical_users = 0


class ArenaWatcher(Protocol):
    """Maps every arena for a device: a device sends packets of any mempool, so it must reach them all.

    A watcher that raises `PortGone` affects no other caller: a removed device reaches no memory, and its own verbs raise.
    """

    def arena_opened(self, arena: Arena) -> None:
        """Called for each new arena, before its memory is used."""

    def arena_closing(self, arena: Arena) -> None:
        """Called before an arena is unmapped: its memory goes away when this returns."""


def watch_arenas(watcher: ArenaWatcher) -> None:
    """Call `watcher` for every arena that exists now, and for each that is opened or closed later.

    Raises what the watcher raises; then it is not called any more.
    """
    with _watch_lock:
        _watchers.append(watcher)
        try:
            for arena in list(_arenas):
                watcher.arena_opened(arena)
        except BaseException:
            unwatch_arenas(watcher)
            raise


def unwatch_arenas(watcher: ArenaWatcher) -> None:
    """Stop calling `watcher`. No error if it does not watch."""
    with _watch_lock:
        _watchers[:] = [each for each in _watchers if each is not watcher]


def hold_physical() -> None:
    """A device without an IOMMU is there: new arenas have physical addresses for IOVAs until as many `drop_physical`."""
    global _physical_users
    with _watch_lock:
        _physical_users += 1


def drop_physical() -> None:
    """It is gone. Arenas made meanwhile stay as they are. Raises ConfigError without a `hold_physical` before."""
    global _physical_users
    with _watch_lock:
        if not _physical_users:
            raise ConfigError(
                "drop_physical() without a hold_physical(): no device of this process needs physical addresses"
            )
        _physical_users -= 1


@dataclass(frozen=True)
class Block:
    """A piece of an arena: addresses and size in bytes."""

    address: int
    iova: int
    size: int
    name: str


def free_hugepages(page_size: int = 2 << 20) -> int:
    """Hugepages of `page_size` bytes that are neither in use nor reserved."""
    folder = _SYSFS / f"hugepages-{page_size >> 10}kB"
    return max(read_number(folder / "free_hugepages") - read_number(folder / "resv_hugepages"), 0)


class Arena:
    """`size` bytes (rounded up to whole pages) of shared memory.

    hugepages: "auto" takes 2 MiB pages, or plain pages with one line in the log when there are too few; "2M" and "1G"
    insist; "no" takes plain pages. physical: IOVAs are physical addresses (UIO; needs root and hugepages), by default while
    a device in this process needs that.
    fd, iova: attach an arena of another process, from the descriptor and IOVA it passed on.
    Raises ConfigError and MemoryExhausted.
    """

    def __init__(
        self,
        size: int,
        *,
        hugepages: str = "auto",
        name: str = "arena",
        physical: bool | None = None,
        fd: int | None = None,
        iova: int | None = None,
    ) -> None:
        check_new(self, "_map")
        if size <= 0:
            raise ConfigError(f"an arena of {size} bytes: it must hold something")
        if hugepages not in ("auto", "no", *_PAGE_SIZES):
            raise ConfigError(f"hugepages={hugepages!r}: expected one of auto, 2M, 1G, no")
        self.name = name
        self._closed = False
        if fd is None:
            self.fd, self.page_size, self._map = _create(size, hugepages, name)
        else:
            self.fd, self.page_size, self._map = _attach(fd)
        self.size = len(self._map)
        self._anchor: ctypes.c_char | None = ctypes.c_char.from_buffer(self._map)
        self.address = ctypes.addressof(self._anchor)
        self.physical = bool(_physical_users and iova is None) if physical is None else physical
        self._owns_iova = not self.physical and iova is None
        try:
            if self.physical:
                self.iova_table = _physical_addresses(self.address, self.size, self.page_size, name)
                self.iova = self.iova_table[0]
            else:
                self.iova = _take_iova(self.size) if iova is None else iova
                self.iova_table = [self.iova + at for at in range(0, self.size, self.page_size)]
        except BaseException:
            self._owns_iova = False
            self._close()
            raise
        self.contiguous = all(b - a == self.page_size for a, b in itertools.pairwise(self.iova_table))
        self._free: list[tuple[int, int]] = [(0, self.size)]  # (offset, size), ascending, never touching
        self._returned: deque[Block] = deque()
        self._users: dict[int, weakref.ref[object]] = {}  # by address of the block: who cannot do without it
        self._lock = threading.Lock()
        try:
            self._announce()
        except BaseException:
            self.close()
            raise

    def _announce(self) -> None:
        """Tell every watcher. Raises the first error of a device that is there and cannot reach this memory."""
        failure: Exception | None = None
        with _watch_lock:
            _arenas.add(self)
            for watcher in list(_watchers):
                try:
                    watcher.arena_opened(self)
                except PortGone:
                    continue  # a removed device reaches no memory: the arena is good for all others
                except Exception as error:
                    failure = failure or error
        if failure is not None:
            raise failure

    @property
    def is_huge(self) -> bool:
        """Whether hugepages back it."""
        return self.page_size > mmap.PAGESIZE

    def iova_of(self, address: int) -> int:
        """The IOVA by which devices reach a virtual address. Raises ConfigError outside the arena."""
        offset = address - self.address
        if not 0 <= offset < self.size:
            raise ConfigError(f"address {address:#x} is not in arena {self.name!r}")
        return self.iova_table[offset // self.page_size] + offset % self.page_size

    def alloc(self, size: int, *, align: int = 64, name: str = "block", user: object = None) -> Block:
        """Cut `size` bytes off, aligned to `align` (a power of two). Raises MemoryExhausted.

        user: an object that has addresses of the block: the arena cannot be closed while it is alive.
        """
        if self._closed:
            raise ConfigError(f"arena {self.name!r} is closed: make another")
        if size <= 0 or align <= 0 or align & (align - 1):
            raise ConfigError(
                f"{size} bytes aligned to {align}: sizes are positive and alignments powers of two"
            )
        with self._lock:
            self._take_returned()
            for index, (offset, room) in enumerate(self._free):
                start = -(-(self.address + offset) // align) * align - self.address
                if not self._whole(start, size):
                    start = -(-start // self.page_size) * self.page_size
                if start + size <= offset + room:
                    rest = [(offset, start - offset), (start + size, offset + room - start - size)]
                    self._free[index : index + 1] = [piece for piece in rest if piece[1]]
                    address = self.address + start
                    if user is not None:
                        self._users[address] = weakref.ref(user)
                    return Block(address, self.iova_of(address), size, name)
        raise MemoryExhausted(
            f"arena {self.name!r} has no {size} bytes left for {name} (of {self.size}): make the arena larger"
        )

    def _whole(self, offset: int, size: int) -> bool:
        """Whether a device sees these bytes as one piece. Larger than a page: always true; use IOVAs per page."""
        if self.contiguous or size > self.page_size:
            return True
        first, last = offset // self.page_size, (offset + size - 1) // self.page_size
        table = self.iova_table
        return last < len(table) and table[last] - table[first] == (last - first) * self.page_size

    def free(self, block: Block) -> None:
        """Give a block back. Raises ConfigError if it is not one of this arena's or is free already."""
        with self._lock:
            self._take_returned()
            self._put_back(block)

    def free_from_finalizer(self, block: Block) -> None:
        """Like `free`, for `__del__`, which may run while this thread is inside `alloc`: done at the next alloc or free."""
        self._returned.append(block)

    def _take_returned(self) -> None:
        while self._returned:
            self._put_back(self._returned.popleft())

    def _put_back(self, block: Block) -> None:
        offset = block.address - self.address
        at = bisect_right(self._free, (offset, 0))
        after = self._free[at] if at < len(self._free) else (self.size, 0)
        before = self._free[at - 1] if at else (0, 0)
        if offset < sum(before) or offset + block.size > after[0]:
            raise ConfigError(f"{block} is not an allocated block of arena {self.name!r}")
        self._users.pop(block.address, None)
        insort(self._free, (offset, block.size))
        self._free = _coalesced(self._free)

    def close(self) -> None:
        """Unmap. Raises ConfigError while a mempool or another known user has its memory.

        No other code may use an address of it any more. If a device that is present fails to unmap it, the memory stays
        mapped, and the log says so.
        """
        if self._closed:
            return
        with self._lock:
            self._take_returned()
            users = [user for user in [known() for known in self._users.values()] if user is not None]
        if users:
            raise ConfigError(
                f"arena {self.name!r} cannot be closed: {users[0]!r} is in it; close and delete what uses that first"
            )
        if self._close():
            self._map.close()

    def _close(self) -> bool:
        """All but the mapping. False: it must stay."""
        self._closed = True
        if not self._withdraw():
            _kept.append(self)
            return False
        if self._owns_iova:
            _iova_returned.append(self.iova)
        self._anchor = None
        os.close(self.fd)
        return True

    def _withdraw(self) -> bool:
        """Tell every watcher that the memory goes. False: a device that is there may still write to it."""
        free = True
        with _watch_lock:
            known = self in _arenas
            _arenas.discard(self)
            for watcher in list(_watchers) if known else ():
                try:
                    watcher.arena_closing(self)
                except PortGone:
                    continue  # a device that is gone writes nothing
                except Exception as error:
                    free = False
                    log.error("%r stays mapped, a device does not let go of it: %s", self, error)
        return free

    def __del__(
        self,
        ending: Callable[[], bool] = sys.is_finalizing,
        keep: Callable[[object], None] = keep_for_good,
    ) -> None:
        # The defaults outlive this module's globals, which the interpreter's end clears, perhaps before the last arena.
        if not hasattr(self, "_map") or self._closed:
            return
        if ending():
            keep(self._map)  # a thread that could not be stopped may write to it until the process is gone
        else:
            # The mapping goes with its own object: a mempool of the same garbage may look into it once more.
            self._close()

    def __reduce__(self) -> str:
        raise TypeError(f"{self!r} cannot be copied: a copy would close its descriptor too")

    def __enter__(self) -> Arena:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        pages = {1 << 30: "1 GiB", 2 << 20: "2 MiB"}.get(self.page_size, "plain")
        return f"<Arena {self.name}: {self.size >> 10} KiB of {pages} pages at {self.address:#x}, IOVA {self.iova:#x}>"


def _create(size: int, hugepages: str, name: str) -> tuple[int, int, mmap.mmap]:
    for wanted in ("2M",) if hugepages == "auto" else (hugepages,) if hugepages != "no" else ():
        page = _PAGE_SIZES[wanted]
        try:
            return _memfd(-(-size // page) * page, page, name)
        except OSError as error:
            if hugepages != "auto":
                raise MemoryExhausted(
                    f"no {-(-size // page)} free hugepages of {wanted} for {name} ({error.strerror}; "
                    f"{free_hugepages(page)} are free): run 'dataplane doctor', or take plain pages (hugepages='no')"
                ) from None
    if hugepages == "auto":
        _warn_once(size)
    page = mmap.PAGESIZE
    room, whose = available()
    if size > room:
        raise MemoryExhausted(
            f"{name} needs {size >> 20} MiB, and {room >> 20} MiB are left by {whose}: make it smaller, or free memory"
        )
    try:
        return _memfd(-(-size // page) * page, page, name)
    except OSError as error:
        raise MemoryExhausted(f"no memory for {size >> 10} KiB of {name}: {error.strerror}") from None


def _memfd(size: int, page: int, name: str) -> tuple[int, int, mmap.mmap]:
    flags = _MFD_CLOEXEC
    if page > mmap.PAGESIZE:
        flags |= _MFD_HUGETLB | (page.bit_length() - 1) << _MFD_HUGE_SHIFT
    fd = os.memfd_create(f"dataplane-{name}"[:60], flags)  # the kernel takes at most 249 bytes
    try:
        os.ftruncate(fd, size)
        # Populated at once: a page fault in a poll loop is a stall, and too few pages must fail here.
        return fd, page, mmap.mmap(fd, size, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE)
    except BaseException:
        os.close(fd)
        raise


def _attach(fd: int) -> tuple[int, int, mmap.mmap]:
    own = os.dup(fd)
    try:
        status = os.fstat(own)
        return (
            own,
            status.st_blksize,
            mmap.mmap(own, status.st_size, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE),
        )
    except BaseException:
        os.close(own)
        raise


def _warn_once(size: int) -> None:
    global _warned
    if not _warned:
        _warned = True
        log.warning(
            "no %d free hugepages of 2 MiB: using plain pages, which is slower (run 'dataplane doctor')",
            -(-size // _PAGE_SIZES["2M"]),
        )


def _take_iova(size: int) -> int:
    """The lowest free range; ranges keep 2 MiB apart, so that running off one's end hits nothing."""
    need = -(-size // (2 << 20)) * (2 << 20) + (2 << 20)
    with _iova_lock:
        while _iova_returned:
            returned = _iova_returned.popleft()
            _iova_used[:] = [entry for entry in _iova_used if entry[0] != returned]
        start = _IOVA_BASE
        for used, length in _iova_used:
            if used - start >= need:
                break
            start = used + length
        if start + need > _IOVA_LIMIT:
            raise MemoryExhausted(f"no I/O virtual addresses left for {size >> 20} MiB: close an arena first")
        insort(_iova_used, (start, need))
        return start


def _coalesced(pieces: list[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for offset, size in pieces:
        if joined and sum(joined[-1]) == offset:
            joined[-1] = (joined[-1][0], joined[-1][1] + size)
        else:
            joined.append((offset, size))
    return joined


def _physical_addresses(address: int, size: int, page: int, name: str) -> list[int]:
    """Physical addresses from /proc/self/pagemap: 8 bytes a plain page, [54:0] the frame number, [63] present."""
    if page == mmap.PAGESIZE:
        raise MemoryExhausted(
            f"{name}: a device without an IOMMU (UIO) needs physical addresses, and only those of hugepages stay what they "
            f"are: 'sudo sysctl -w vm.nr_hugepages=512', or give the device to vfio-pci ('dataplane doctor' says more)"
        )
    table = []
    with Path("/proc/self/pagemap").open("rb", buffering=0) as pagemap:
        for at in range(address, address + size, page):
            pagemap.seek(at // mmap.PAGESIZE * 8)
            (entry,) = struct.unpack("<Q", pagemap.read(8))
            frame = entry & (1 << 55) - 1
            if not entry >> 63 or not frame:
                raise MemoryExhausted(
                    f"{name}: the kernel hides physical addresses: run as root (CAP_SYS_ADMIN)"
                )
            table.append(frame * mmap.PAGESIZE)
    return table
