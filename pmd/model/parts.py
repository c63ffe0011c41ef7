# SPDX-License-Identifier: BSD-3-Clause
"""Which data path a port gets."""

from __future__ import annotations

from pmd.model.interrupt import Interrupts
from pmd.model.iommu import Domain
from pmd.model.shared import DataPath, RegisterFile

__all__ = ["data_path"]


class _Idle(DataPath):
    """A port that moves no packets: registers only."""

    def __init__(self, name: str) -> None:
        self.domain = Domain(name)


def data_path(name: str, registers: RegisterFile, interrupts: Interrupts, card: object) -> DataPath:
    """The data path of a port."""
    return _Idle(name)
