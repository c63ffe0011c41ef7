# SPDX-License-Identifier: BSD-3-Clause
"""What the model's PFs and VFs have in common as functions on a bus: arenas in a DMA map."""

from __future__ import annotations

from mmap import PAGESIZE

from dataplane.memory.hugepage import Arena
from dataplane.pmd.model.datapath.iommu import Domain
from dataplane.pmd.model.shared import CardLock

__all__ = ["ArenaMap"]


class ArenaMap:
    """The arenas that a function's DMA reaches, each at its own IOVA."""

    def __init__(self, lock: CardLock, domain: Domain) -> None:
        self._lock, self._domain = lock, domain
        self._mapped: dict[int, list[int]] = {}  # arena's IOVA -> the IOVAs of its pieces

    def map(self, arena: Arena) -> None:
        """Let DMA reach the whole arena. No error if it does."""
        if arena.iova in self._mapped:
            return
        if arena.contiguous:
            pieces = [(arena.iova, arena.address, arena.size)]
        else:
            page = max(arena.page_size, PAGESIZE)
            pieces = [(iova, arena.address + n * page, page) for n, iova in enumerate(arena.iova_table)]
        with self._lock:
            self._mapped[arena.iova] = [iova for iova, _, _ in pieces]
            for iova, address, size in pieces:
                # No owner: the domain must not keep an arena alive, because it is notified of the arena's end.
                self._domain.map(iova, size, address)

    def unmap(self, arena: Arena) -> None:
        """Take the arena away. No error if it was not mapped."""
        with self._lock:
            for iova in self._mapped.pop(arena.iova, ()):
                self._domain.unmap(iova)

    def clear(self) -> None:
        """Take all away."""
        with self._lock:
            for pieces in self._mapped.values():
                for iova in pieces:
                    self._domain.unmap(iova)
            self._mapped.clear()

    def forget(self) -> None:
        """The map has been emptied by the other side: the function is gone."""
        self._mapped.clear()
