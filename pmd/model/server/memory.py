# SPDX-License-Identifier: BSD-3-Clause
"""What a client lets its function's DMA reach."""

from __future__ import annotations

import errno
from bisect import bisect_left, insort

from dataplane.errors import ConfigError
from dataplane.pmd.model.client_memory import ClientMemory
from dataplane.pmd.model.iommu import Domain
from dataplane.pmd.model.server.refusal import Refused
from dataplane.pmd.model.shared import CardLock
from dataplane.pmd.vfio_user.messages import DmaFlags

__all__ = ["DmaMaps"]

MOST = 16384
"""Mappings of a client; QEMU with an IOMMU for its guest makes one for each page."""


class DmaMaps:
    """IOVA ranges of one client, in the domain of its function. After `unmap` the device reaches that memory no more.

    Every change is made under the card's lock, which the data path holds while it runs.
    """

    def __init__(self, lock: CardLock, domain: Domain) -> None:
        self._lock, self._domain = lock, domain
        self._order: list[int] = []  # IOVAs, ascending
        self._ranges: dict[
            int, tuple[int, int, ClientMemory | None]
        ] = {}  # IOVA -> size, permissions, memory

    def __len__(self) -> int:
        return len(self._order)

    def map(self, iova: int, size: int, flags: int, offset: int, descriptor: int | None) -> None:
        """Without a descriptor there is no memory that the device could reach: an access is a fault. Raises Refused."""
        if not size or iova + size > 1 << 64 or not flags & (DmaFlags.READ | DmaFlags.WRITE) or flags & ~3:
            raise Refused(errno.EINVAL, f"a DMA map of {size:#x} bytes at {iova:#x} with flags {flags:#x}")
        if self._touched(iova, size):
            raise Refused(errno.EEXIST, f"{iova:#x} to {iova + size:#x} overlaps a DMA map: unmap that first")
        if len(self._order) >= MOST:
            raise Refused(errno.ENOSPC, f"{MOST} DMA maps are the most")
        memory = None
        if descriptor is not None:
            try:
                memory = ClientMemory(descriptor, offset, size, bool(flags & DmaFlags.WRITE))
            except (OSError, OverflowError) as error:
                raise Refused(getattr(error, "errno", None) or errno.EINVAL, str(error)) from None
        try:
            self._put(iova, size, flags, memory)
        except ConfigError as error:
            if memory is not None:
                memory.close()
            raise Refused(errno.EINVAL, str(error)) from None
        insort(self._order, iova)
        self._ranges[iova] = size, flags, memory

    def unmap(self, iova: int, size: int) -> int:
        """Take away every mapping within the range; returns how many bytes that were. Raises Refused if it cuts one."""
        if not size or iova + size > 1 << 64:
            raise Refused(errno.EINVAL, f"a DMA unmap of {size:#x} bytes at {iova:#x}")
        found = self._touched(iova, size)
        if found and (found[0] < iova or found[-1] + self._ranges[found[-1]][0] > iova + size):
            raise Refused(errno.EINVAL, f"{iova:#x} to {iova + size:#x} cuts a DMA map in two")
        return self._remove(found)

    def clear(self) -> int:
        """Take everything away; returns how many bytes that were."""
        return self._remove(list(self._order))

    def again(self) -> None:
        """The domain has been emptied by the card, since its VF went and came: fill it. The card's lock is held."""
        known = {iova for iova, _, _, _ in self._domain.mappings}
        for iova, (size, flags, memory) in self._ranges.items():
            if iova not in known:
                self._put(iova, size, flags, memory)

    @property
    def lost(self) -> bool:
        """Whether the client has cut short a file whose memory the device used."""
        return any(memory is not None and memory.lost for _, _, memory in self._ranges.values())

    def _put(self, iova: int, size: int, flags: int, memory: ClientMemory | None) -> None:
        if memory is None:
            return
        with self._lock:
            self._domain.map(
                iova,
                size,
                memory.address,
                read=bool(flags & DmaFlags.READ),
                write=bool(flags & DmaFlags.WRITE),
            )

    def _touched(self, iova: int, size: int) -> list[int]:
        """The mappings that share an address with the range, ascending."""
        at = bisect_left(self._order, iova)
        if at and self._order[at - 1] + self._ranges[self._order[at - 1]][0] > iova:
            at -= 1
        return self._order[at : bisect_left(self._order, iova + size)]

    def _remove(self, iovas: list[int]) -> int:
        total, memories = 0, []
        with self._lock:
            mapped = {iova for iova, _, _, _ in self._domain.mappings} if iovas else set()
            for iova in iovas:
                size, _, memory = self._ranges.pop(iova)
                total += size
                if memory is not None:
                    memories.append(memory)
                    if iova in mapped:
                        self._domain.unmap(iova)
        # The data path is past its round, and looks addresses up anew in the next.
        gone = set(iovas)
        self._order = [iova for iova in self._order if iova not in gone]
        for memory in memories:
            memory.close()
        return total
