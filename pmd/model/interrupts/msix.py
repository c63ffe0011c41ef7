# SPDX-License-Identifier: BSD-3-Clause
"""The BAR with the MSI-X table of a PF or a VF."""

from __future__ import annotations

from collections.abc import Callable

from dataplane.pmd.datasheet import pci
from dataplane.pmd.function import Bar

__all__ = ["MsixBar"]

_VECTOR_CONTROL, _ENTRY = 12, 16  # an MSI-X table entry: address, data, control


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
