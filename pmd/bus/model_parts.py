# SPDX-License-Identifier: BSD-3-Clause
"""What the model's PFs and VFs have in common as functions on a bus: arenas in a DMA map, the BAR with the MSI-X table."""

from __future__ import annotations

from collections.abc import Callable
from mmap import PAGESIZE

from dataplane.hugepage import Arena
from pmd.datasheet import pci
from pmd.function import Bar
from pmd.model.iommu import Domain
from pmd.model.shared import CardLock

__all__ = ["ArenaMap", "MsixBar"]

_VECTOR_CONTROL, _ENTRY = 12, 16  # an MSI-X table entry: address, data, control


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
                # No owner: the domain must not keep an arena alive whose end it is told of.
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


class MsixBar(Bar):
    """The MSI-X table, entries of 16 bytes, and the pending bits behind it (datasheet 9.3.8, 8.2.3.4).

    mask(vector, on): the vector's mask bit was written. pending: the pending bits now. answers: whether the BAR is decoded.
    """

    def __init__(
        self,
        name: str,
        vectors: int,
        mask: Callable[[int, bool], None],
        pending: Callable[[], int],
        answers: Callable[[], bool] = lambda: True,
    ) -> None:
        self.name, self._vectors = name, vectors
        self._mask, self._pending, self._answers = mask, pending, answers
        self._table = [0] * (vectors * _ENTRY // 4)
        self.reset()

    def reset(self) -> None:
        """Every entry says masked; a vector is, once its entry has been written so."""
        for vector in range(self._vectors):
            self._table[vector * 4 : vector * 4 + 4] = [0, 0, 0, 1]
            self._mask(vector, False)

    def read32(self, offset: int) -> int:
        if not self._answers():
            return 0xFFFF_FFFF
        if 0 <= offset < self._vectors * _ENTRY:
            return self._table[offset // 4]
        if pci.MSIX_PBA_AT <= offset < pci.MSIX_PBA_AT + 8:
            return self._pending() >> 8 * (offset - pci.MSIX_PBA_AT) & 0xFFFF_FFFF
        return 0

    def write32(self, offset: int, value: int) -> None:
        if self._answers() and 0 <= offset < self._vectors * _ENTRY:
            self._table[offset // 4] = value
            if offset % _ENTRY == _VECTOR_CONTROL:
                self._mask(offset // _ENTRY, bool(value & 1))
