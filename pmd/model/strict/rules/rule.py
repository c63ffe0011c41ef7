# SPDX-License-Identifier: BSD-3-Clause
"""The form of a rule about registers.

A check gets a `Write` and returns what is wrong, or None. It runs before the write happens. A rule is checked when the chip
would use the state, not while the driver still prepares it: the configuration of a queue when the queue starts, a filter
while it is enabled. The data path itself reports what only it can see: a tail past the length, DMA outside the map, a bad
descriptor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dataplane.pmd.datasheet import FieldRef, Register, RegisterRef
from dataplane.pmd.model.chip import Chip

__all__ = ["AT_ONCE", "AT_RXEN", "AT_START", "AT_TE", "Check", "Rules", "Violation", "Write"]

# When the chip uses the state that a rule checks.
AT_ONCE = "at once"
AT_START = "when the queue starts"
AT_RXEN = "when RXEN is set"
AT_TE = "when TE is set"


@dataclass(frozen=True, slots=True)
class Write:
    """A write that is about to happen."""

    chip: Chip
    register: RegisterRef
    old: int
    value: int

    @property
    def index(self) -> int:
        """The number of the register in its line."""
        return self.register.index

    def peek(self, register: RegisterRef) -> int:
        """A register's word, stored."""
        return self.chip.peek(register.offset)

    def get(self, field: FieldRef) -> int:
        """A field's value, stored."""
        return field.extract(self.chip.peek(field.register.offset))

    def last_written(self, register: RegisterRef, otherwise: int) -> int:
        """The last value written to the register, with bits that it does not store; `otherwise` before the first write."""
        return self.chip.queues.last_written.get(register.offset, otherwise)

    def sets(self, field: FieldRef) -> bool:
        """Whether this write turns a bit on."""
        return bool(self.value & ~self.old & field.mask)

    def changes(self, mask: int) -> bool:
        """Whether it changes any of these bits."""
        return bool((self.old ^ self.value) & mask)


Check = Callable[[Write], "str | None"]


@dataclass(frozen=True, slots=True)
class Violation:
    """One rule.

    registers: a write to any of them is checked; section: of the datasheet; when: the moment of the check.
    """

    name: str
    section: str
    rule: str
    registers: tuple[Register, ...]
    when: str
    broken: Check


class Rules:
    """The rules of one module. It decorates checks: ``@rule("name", "8.2.3", "What must hold", RXDCTL, when=AT_START)``."""

    def __init__(self) -> None:
        self.violations: list[Violation] = []

    def __call__(
        self, name: str, section: str, text: str, *registers: Register, when: str = AT_ONCE
    ) -> Callable[[Check], Check]:
        """Add the decorated check, which judges each write of one of these registers."""

        def add(check: Check) -> Check:
            self.violations.append(Violation(name, section, text, registers, when, check))
            return check

        return add
