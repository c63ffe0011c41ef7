# SPDX-License-Identifier: BSD-3-Clause
"""The strict manner: what a driver must not do to registers, and the section that says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from dataplane.errors import DatasheetViolation

if TYPE_CHECKING:
    from pmd.model.controller import Controller


class Strict:
    """Looks at each access of one port before it happens, and raises DatasheetViolation."""

    def __init__(self, chip: Controller) -> None:
        self.chip = chip

    def reading(self, offset: int) -> None:
        """A read of a register is about to happen."""

    def writing(self, offset: int, value: int) -> None:
        """A write of a register is about to happen."""

    def unknown(self, kind: str, offset: int, value: int) -> NoReturn:
        """An access to an address without a register."""
        self._refuse(
            f"{kind} of {offset:#07x}, where the datasheet has no register", f"{offset:#07x}", value, "8.2.2"
        )

    def wrong_size(self, kind: str, offset: int, size: int) -> NoReturn:
        """Registers are dwords."""
        message = f"{kind} of {size} bytes at {offset:#07x}: registers are accessed as aligned dwords"
        self._refuse(message, f"{offset:#07x}", size, "8.1.1")

    def _refuse(self, message: str, register: str, value: int, section: str) -> NoReturn:
        raise DatasheetViolation(
            f"{self.chip.name}: {message} (datasheet {section})",
            register=register,
            value=value,
            section=section,
        )
