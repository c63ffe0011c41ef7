# SPDX-License-Identifier: BSD-3-Clause
"""A part of the chip with side effects on registers, one method a register.

    class Nvm(Block):
        @on_write(EERD)
        def read_word(self, offset, old, new, written):
            '''8.2.3.2.2: ...'''
            return new

A read method gets (offset, value) and returns what the bus sees; a write method gets (offset, old word, new word by the
register's rule, what was written) and returns the word to store. Both run with the card's lock held.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from dataplane.pmd.datasheet import FieldRef, Register, RegisterRef

if TYPE_CHECKING:
    from dataplane.pmd.model.registers.controller import Controller

__all__ = ["Block", "Timing", "on_read", "on_write"]

Method = TypeVar("Method", bound=Callable[..., int])


@dataclass(frozen=True)
class Timing:
    """How long the chip takes, in ns. A card takes longer for some; drivers must not depend on either."""

    reset: int = 2_000  # CTRL.RST reads back 1
    eeprom: int = 2_000_000  # until EEC.ARD, after a reset
    dma_init: int = 100_000  # until RDRXCTL.DMAIDONE, after a reset
    master: int = 1_000  # until STATUS.GIO falls after CTRL.GIO_DIS
    eeprom_word: int = 2_000
    queue: int = 10_000  # until RXDCTL.ENABLE or TXDCTL.ENABLE reads back
    security: int = 1_000  # until SECRXSTAT, SECTXSTAT are ready
    flow_director: int = 10_000  # until FDIRCTRL.INIT_DONE
    flow_command: int = 2_000  # until FDIRCMD.CMD is 0 again
    link: int = 1_000_000  # from AUTOC.RESTART_AN, or from a carrier, to LINKS.UP


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


class Block:
    """Joins its marked methods to a controller. `card` is what the ports of a card have in common."""

    def __init__(self, chip: Controller, card: Any, timing: Timing) -> None:
        self.chip, self.card, self.timing = chip, card, timing
        for name in dir(type(self)):
            method = getattr(self, name)
            for line in getattr(method, "reads", ()):
                chip.attach(line, reads=method)
            for line in getattr(method, "writes", ()):
                chip.attach(line, writes=method)

    def reset(self, power_up: bool) -> None:
        """The registers have their reset values: now what the chip does by itself."""

    # ---- words -----------------------------------------------------------------------------------------------

    def peek(self, register: RegisterRef) -> int:
        return self.chip.peek(register.offset)

    def get(self, field: FieldRef) -> int:
        return field.extract(self.chip.peek(field.register.offset))

    def poke(self, register: RegisterRef, value: int) -> None:
        self.chip.poke(register.offset, value)

    def put(self, field: FieldRef, value: int) -> None:
        """Store one field, now; what was to happen to it later is off."""
        offset = field.register.offset
        self.chip.forget(offset, field.mask)
        self.chip.poke(offset, field.insert(self.chip.peek(offset), value))

    def later(self, ns: int, field: FieldRef, value: int, cause: int = 0) -> None:
        """In `ns` the field gets that value, and `cause` is raised. What was to happen to it before is off."""
        self.chip.forget(field.register.offset, field.mask)
        self.chip.after(ns, field.register.offset, field.mask, field.insert(0, value), cause)
