# SPDX-License-Identifier: BSD-3-Clause
"""Which data path a port gets."""

from __future__ import annotations

from pmd.model.engine import Engine
from pmd.model.interrupt import Interrupts
from pmd.model.shared import DataPath, RegisterFile

__all__ = ["data_path"]


def data_path(name: str, registers: RegisterFile, interrupts: Interrupts, card: object) -> DataPath:
    """The data path of a port."""
    return Engine(name, registers, interrupts, interrupts.clock)
