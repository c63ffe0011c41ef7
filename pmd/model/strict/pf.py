# SPDX-License-Identifier: BSD-3-Clause
"""The strict manner: each access is looked at before it happens; what the datasheet forbids raises DatasheetViolation.

A card that reports (`Card.report`) is told instead, and goes on as silicon would.

The rules about single registers are data, in `dataplane.pmd.model.strict.rules`. Here is what concerns any access: addresses
without a register, sizes, and the wait after a reset.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from dataplane.errors import DatasheetViolation
from dataplane.pmd.datasheet import CTRL, L34TIMIR, RDBAL, RDLEN, STATUS, TDBAL, TDLEN, RegisterRef, decode
from dataplane.pmd.model.strict.rules import VIOLATIONS, Violation, Write

if TYPE_CHECKING:
    from dataplane.pmd.model.registers.controller import Controller

__all__ = ["LED_BY", "RESET_WAIT_NS", "Strict", "broken_rule", "refuse"]

RESET_WAIT_NS = 10_000_000  # 4.6.3.2: at least 10 ms
_DURING_RESET = (CTRL.offset, STATUS.offset)  # what a driver may read meanwhile

# What the data path was after when it left its map -> the register that gave it the address, and that register's section.
LED_BY = {
    "Rx descriptor": ("RDBAL", "8.2.3.8.1"),
    "Rx data": ("RDT", "7.1.6.1"),
    "Tx descriptor": ("TDBAL", "8.2.3.9.5"),
    "Tx data": ("TDT", "7.2.3.2.4"),
    "Tx head": ("TDWBAL", "8.2.3.9.11"),
}

# What a driver wrote to these counts later, all of its bits: some do not exist, and L34TIMIR comes up with noise.
_REMEMBERED = (RDBAL, RDLEN, TDBAL, TDLEN, L34TIMIR)

# Written where no register is, by drivers that work on cards: DPDK's PF with VFs clears MPSAR[128], one past the end, and
# its flow director has a mask of SCTP's ports, which only later chips compare.
_SLIPS = {0x0AA00: (0,), 0x0AA04: (0,), 0x0EE78: range(1 << 32)}

_by_line: dict[str, list[Violation]] = {}
for _violation in VIOLATIONS:
    for _line in _violation.registers:
        _by_line.setdefault(_line.name, []).append(_violation)


def broken_rule(
    chip: Controller, register: RegisterRef, value: int, spared: Collection[str] = ()
) -> tuple[str, str] | None:
    """What is wrong with a write, and the section that says so; None if no rule forbids it. spared: rules left out."""
    if register.register in _REMEMBERED:
        chip.blocks["queues"].told[register.offset] = value
    for violation in _by_line.get(register.register.name, ()):
        wrong = violation.broken(Write(chip, register, chip.peek(register.offset), value))
        if wrong and violation.name not in spared:
            return f"{wrong}. {violation.rule}", violation.section
    return None


def refuse(chip: Controller, name: str, message: str, register: str, value: int, section: str) -> None:
    """Raise DatasheetViolation, or report it on a card that does."""
    violation = DatasheetViolation(
        f"{name}: {message} (datasheet {section})", register=register, value=value, section=section
    )
    if chip.card.report is None:
        raise violation
    chip.card.report(violation)


class Strict:
    """Looks at each access to one port."""

    def __init__(self, chip: Controller) -> None:
        self.chip = chip
        self._seen = 0

    def faults(self) -> None:
        """DMA outside the map since the last look: what an IOMMU reports, and a card without one turns into damage."""
        domain = self.chip.engine.domain
        if domain.fault_count == self._seen:
            return
        self._seen = domain.fault_count
        for fault in domain.take_faults():
            kind, _, queue = fault.what.rpartition(" queue ")
            register, section = next(found for start, found in LED_BY.items() if kind.startswith(start))
            self._refuse(str(fault), f"{register}[{queue}]", fault.iova, section)

    def reading(self, offset: int) -> None:
        """A read of a register (canonical offset) is about to happen."""
        self.faults()
        if offset not in _DURING_RESET:
            self._after_reset("read", offset, 0)

    def writing(self, offset: int, value: int) -> None:
        """A write of a register (canonical offset) is about to happen."""
        self.faults()
        self._after_reset("write", offset, value)
        register = decode(offset)
        assert register is not None
        broken = broken_rule(self.chip, register, value)
        if broken:
            wrong, section = broken
            self._refuse(f"{register.describe(value)}: {wrong}", register.name, value, section)

    def unknown(self, kind: str, offset: int, value: int) -> None:
        """8.2.2: an access to an address without a register."""
        if kind == "write" and value in _SLIPS.get(offset, ()):
            return
        message = f"{kind} of {offset:#07x}: the datasheet has no register there"
        self._refuse(message, f"{offset:#07x}", value, "8.2.2")

    def wrong_size(self, kind: str, offset: int, size: int) -> None:
        """8.1.1: registers are dwords."""
        message = f"{kind} of {size} bytes at {offset:#07x}: registers are accessed as aligned dwords"
        self._refuse(message, f"{offset:#07x}", size, "8.1.1")

    def offences(self) -> None:
        """What the data path saw on the PF's queues since the last look; a VF hears of its own (`vf_strict`)."""
        for register, value, section, message in self.chip.take_violations(-1):
            self._refuse(message, register, value, section)

    def _after_reset(self, kind: str, offset: int, value: int) -> None:
        began = self.chip.blocks["general"].reset_at
        passed = self.chip.clock.now_ns - began
        if began and passed < RESET_WAIT_NS:
            register = decode(offset)
            assert register is not None
            self._refuse(
                f"{kind} of {register.name} {passed / 1e6:.3f} ms after a reset: only CTRL and STATUS may be read for 10 ms",
                register.name, value, "4.6.3.2",
            )  # fmt: skip

    def _refuse(self, message: str, register: str, value: int, section: str) -> None:
        refuse(self.chip, self.chip.name, message, register, value, section)
