# SPDX-License-Identifier: BSD-3-Clause
"""What a rule about registers is, and the table that the strict manner looks writes up in: `VIOLATIONS`.

A check gets a `Write` and returns what is wrong, or None. It runs before the write happens. A rule is judged when the chip
would act on the state that it is about, not while the driver still puts that state together: a queue's set-up when the
queue starts, a filter's when the filter is on. What only the data path can see (a tail stored past the length, DMA outside
the map, a bad descriptor) it reports itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dataplane.pmd.datasheet import FieldRef, Register, RegisterRef
from dataplane.pmd.model.registers.controller import Controller

__all__ = ["AT_ONCE", "AT_RXEN", "AT_START", "AT_TE", "Check", "VIOLATIONS", "Violation", "Write", "rule"]

# When the chip acts on what a rule is about.
AT_ONCE = "at once"
AT_START = "when the queue starts"
AT_RXEN = "when RXEN is set"
AT_TE = "when TE is set"


@dataclass(frozen=True, slots=True)
class Write:
    """A write that is about to happen."""

    chip: Controller
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

    def told(self, register: RegisterRef, otherwise: int) -> int:
        """What was written to the register last, bits that do not exist included; `otherwise` before the first write."""
        word: int = self.chip.blocks["queues"].told.get(register.offset, otherwise)
        return word

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

    registers: a write to any of them is looked at; section: where the rule stands; when: which state counts.
    """

    name: str
    section: str
    rule: str
    registers: tuple[Register, ...]
    when: str
    broken: Check


VIOLATIONS: list[Violation] = []


def rule(
    name: str, section: str, text: str, *registers: Register, when: str = AT_ONCE
) -> Callable[[Check], Check]:
    """Add the decorated check to `VIOLATIONS`, to be asked about each write of one of these registers."""

    def add(check: Check) -> Check:
        VIOLATIONS.append(Violation(name, section, text, registers, when, check))
        return check

    return add
