# SPDX-License-Identifier: BSD-3-Clause
"""The memory that a client maps for its function's DMA."""

from __future__ import annotations

import errno
from bisect import bisect_left, insort
from functools import partial
from typing import NamedTuple

from dataplane.errors import ConfigError
from dataplane.files.closer import Closer
from dataplane.memory.guard import PeerMemory
from dataplane.memory.quota import Quota
from dataplane.pmd.model.datapath.iommu import Domain
from dataplane.pmd.model.server.refusal import ClientRequestRefused
from dataplane.pmd.model.shared import CardLock
from dataplane.pmd.vfio_user.messages import DmaFlags

__all__ = ["DmaMaps"]


class _Range(NamedTuple):
    size: int
    flags: int
    memory: PeerMemory | None


class DmaMaps:
    """IOVA ranges of one client, in the domain of its function. After `unmap` the device reaches that memory no more.

    Every change is made under the card's lock, which the data path holds while it runs. memory, maps: the client's quotas;
    what is unmapped counts until the kernel has let go of it. closer: unmaps what may take long.
    """

    def __init__(self, lock: CardLock, domain: Domain, memory: Quota, maps: Quota, closer: Closer) -> None:
        self._lock, self._domain = lock, domain
        self._memory, self._maps, self._closer = memory, maps, closer
        self._order: list[int] = []  # IOVAs, ascending
        self._ranges: dict[int, _Range] = {}  # by IOVA

    def __len__(self) -> int:
        return len(self._order)

    def map(self, iova: int, size: int, flags: int, offset: int, descriptor: int | None) -> None:
        """Map a range of IOVAs. descriptor None: no memory is mapped, and an access by the device is a DMA fault.

        Raises ClientRequestRefused.
        """
        if not size or iova + size > 1 << 64 or not flags & (DmaFlags.READ | DmaFlags.WRITE) or flags & ~3:
            raise ClientRequestRefused(
                errno.EINVAL, f"a DMA map of {size:#x} bytes at {iova:#x} with flags {flags:#x}"
            )
        if self._touched(iova, size)[0]:
            raise ClientRequestRefused(
                errno.EEXIST, f"{iova:#x} to {iova + size:#x} overlaps a DMA map: unmap that first"
            )
        if not self._maps.take():
            raise ClientRequestRefused(
                errno.ENOSPC,
                f"one more DMA map is refused: it has {self._maps.used}, {self._maps.most} are the most",
                over=True,
            )
        memory = None
        try:
            if descriptor is not None:
                memory = self._open(descriptor, offset, size, bool(flags & DmaFlags.WRITE))
            self._put(iova, size, flags, memory)
        except BaseException as error:
            self._let_go([_Range(size, flags, memory)])
            if isinstance(error, ConfigError):
                raise ClientRequestRefused(errno.EINVAL, str(error)) from None
            raise
        insort(self._order, iova)
        self._ranges[iova] = _Range(size, flags, memory)

    def unmap(self, iova: int, size: int) -> int:
        """Remove all mappings within the range and return their bytes. ClientRequestRefused if the range cuts one."""
        if not size or iova + size > 1 << 64:
            raise ClientRequestRefused(errno.EINVAL, f"a DMA unmap of {size:#x} bytes at {iova:#x}")
        found, at = self._touched(iova, size)
        if found and (found[0] < iova or found[-1] + self._ranges[found[-1]].size > iova + size):
            raise ClientRequestRefused(errno.EINVAL, f"{iova:#x} to {iova + size:#x} cuts a DMA map in two")
        if not found:
            return 0
        with self._lock:
            self._domain.unmap_between(found[0], found[-1])
        # The data path is past its step, and looks addresses up again in the next.
        del self._order[at : at + len(found)]
        return self._let_go([self._ranges.pop(each) for each in found])

    def clear(self) -> int:
        """Take everything away; returns how many bytes that were."""
        with self._lock:
            self._domain.clear()
        ranges, self._ranges, self._order = self._ranges, {}, []
        return self._let_go(list(ranges.values()))

    def again(self) -> None:
        """The domain has been emptied by the card, since its VF went and came: fill it. The card's lock is held."""
        for iova in self._order:
            if iova not in self._domain:
                self._put(iova, *self._ranges[iova])

    @property
    def lost(self) -> bool:
        """Whether the client has cut short a file whose memory the device used."""
        return any(memory is not None and memory.lost for _, _, memory in self._ranges.values())

    # ---- in detail --------------------------------------------------------------------------------------------

    def _open(self, descriptor: int, offset: int, size: int, writable: bool) -> PeerMemory:
        """The memory itself, and its part of the quota."""
        try:
            memory = PeerMemory(descriptor, offset, size, writable)
        except (OSError, OverflowError) as error:
            raise ClientRequestRefused(getattr(error, "errno", None) or errno.EINVAL, str(error)) from None
        if not self._memory.take(memory.mapped):
            memory.close()
            raise ClientRequestRefused(
                errno.ENOMEM,
                f"a DMA map of {size:#x} bytes is refused: it has {self._memory.used:#x} of {self._memory.most:#x}",
                over=True,
            )
        return memory

    def _put(self, iova: int, size: int, flags: int, memory: PeerMemory | None) -> None:
        if memory is None:
            return
        with self._lock:
            self._domain.map(
                iova,
                size,
                memory.address,
                read=bool(flags & DmaFlags.READ),
                write=bool(flags & DmaFlags.WRITE),
                owner=memory,
            )

    def _touched(self, iova: int, size: int) -> tuple[list[int], int]:
        """The mappings that share an address with the range, ascending, and where in the order the first is."""
        at = bisect_left(self._order, iova)
        if at and self._order[at - 1] + self._ranges[self._order[at - 1]].size > iova:
            at -= 1
        return self._order[at : bisect_left(self._order, iova + size)], at

    def _let_go(self, ranges: list[_Range]) -> int:
        """Unmap what no device reaches any more: at once if that is quick. Returns how many bytes the ranges had."""
        if len(ranges) == 1 and (ranges[0].memory is None or ranges[0].memory.quick):
            self._close(ranges)
        elif ranges:
            self._closer.do(partial(self._close, ranges))
        return sum(each.size for each in ranges)

    def _close(self, ranges: list[_Range]) -> None:
        for _, _, memory in ranges:
            if memory is not None:
                memory.close()
                self._memory.give(memory.mapped)
            self._maps.give()
