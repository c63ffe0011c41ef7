# SPDX-License-Identifier: BSD-3-Clause
"""A part of the chip whose registers have side effects. Each register has one method.

    class NvmRegisters(RegisterBlock):
        @on_write(EERD)
        def read_word(self, offset, old, new, written):
            '''8.2.3.2.2: ...'''
            return new

A read method gets (offset, value) and returns what the bus sees. A write method gets (offset, old word, new word by the
rule of the register, written word) and returns the word to store. Both run with the card's lock held.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from dataplane.pmd.datasheet import FieldRef, Register, RegisterRef
from dataplane.pmd.model.registers.controller import Controller
from dataplane.pmd.model.registers.timing import Timing

__all__ = ["RegisterBlock", "Board", "on_read", "on_write"]

Method = TypeVar("Method", bound=Callable[..., int])


class Board(Protocol):
    """The part of a card that the blocks of its ports use."""

    eeprom: list[int]

    @property
    def ports(self) -> Sequence[Controller]:
        """All ports of the card."""

    def mac(self, port: int) -> bytes:
        """The address of a port, from the EEPROM."""

    def lan_id(self, port: int) -> int:
        """STATUS.LAN_ID."""

    def sfp(self, port: int) -> bytes | None:
        """The identification memory of the module in a port; None: the cage is empty."""

    def module_speed(self, port: int) -> int:
        """Gbit/s of the module in a port."""


def on_read(*lines: Register) -> Callable[[Method], Method]:
    """The method answers reads of these registers."""

    def mark(method: Method) -> Method:
        method.reads = lines  # type: ignore[attr-defined]
        return method

    return mark


def on_write(*lines: Register) -> Callable[[Method], Method]:
    """The method decides what a write of these registers stores."""

    def mark(method: Method) -> Method:
        method.writes = lines  # type: ignore[attr-defined]
        return method

    return mark


class RegisterBlock:
    """Registers its marked methods with the controller of its port. `card`: what the ports of a card share."""

    def __init__(self, chip: Controller, card: Board, timing: Timing) -> None:
        self.chip, self.card, self.timing = chip, card, timing
        for name in dir(type(self)):
            method = getattr(self, name)
            for line in getattr(method, "reads", ()):
                chip.attach(line, reads=method)
            for line in getattr(method, "writes", ()):
                chip.attach(line, writes=method)

    def reset(self, power_up: bool) -> None:
        """Do what the chip does by itself after a reset. The registers have their reset values already."""

    # ---- words -----------------------------------------------------------------------------------------------

    def peek(self, register: RegisterRef) -> int:
        """The stored word of a register, without side effects."""
        return self.chip.peek(register.offset)

    def get(self, field: FieldRef) -> int:
        """The stored value of a field, without side effects."""
        return field.extract(self.chip.peek(field.register.offset))

    def poke(self, register: RegisterRef, value: int) -> None:
        """Store a word, and let the data path know."""
        self.chip.poke(register.offset, value)

    def put(self, field: FieldRef, value: int) -> None:
        """Store one field now, and cancel its delayed changes."""
        offset = field.register.offset
        self.chip.forget(offset, field.mask)
        self.chip.poke(offset, field.insert(self.chip.peek(offset), value))

    def later(self, ns: int, field: FieldRef, value: int, cause: int = 0) -> None:
        """In `ns` store `value` in the field and raise `cause` in EICR. Cancels earlier delayed changes of the field."""
        self.chip.forget(field.register.offset, field.mask)
        self.chip.after(ns, field.register.offset, field.mask, field.insert(0, value), cause)
