# SPDX-License-Identifier: BSD-3-Clause
"""A VF's registers as a hostile one uses them: any of them, any word, whatever a strict card says."""

from __future__ import annotations

from contextlib import suppress
from random import Random

from dataplane.errors import DatasheetViolation
from dataplane.pmd.datasheet import RegisterRef
from dataplane.pmd.datasheet import vf as window
from dataplane.pmd.function import Bar

__all__ = ["Shameless", "any_register", "any_word"]

ODD_WORDS = (
    0,
    1,
    0xFFFF_FFFF,
    0x8000_0000,
    0x7FFF_FFFF,
    0x0200_0000,
    0x0600_0000,
    0x8,
    0x10,
    0xFFFF,
    0xFFF80,
)


def any_register(dice: Random) -> RegisterRef:
    line = dice.choice(window.ALL)
    return line[dice.randrange(line.count)]


def any_word(dice: Random) -> int:
    return dice.choice(ODD_WORDS) if dice.random() < 0.4 else dice.getrandbits(dice.choice((4, 16, 32)))


class Shameless:
    """The VF's registers, for a client that ignores violations: a refused write has no effect, a refused read returns 0."""

    def __init__(self, bar: Bar) -> None:
        self._bar, self.address = bar, bar.address

    def write(self, register: RegisterRef, value: int) -> None:
        with suppress(DatasheetViolation):
            self._bar.write(register, value)

    def read(self, register: RegisterRef) -> int:
        with suppress(DatasheetViolation):
            return self._bar.read(register)
        return 0
