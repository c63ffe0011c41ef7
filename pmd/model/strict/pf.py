# SPDX-License-Identifier: BSD-3-Clause
"""The strict manner of a port: checks each access before it happens. A violation of the datasheet raises
DatasheetViolation, or is reported (`Card.report`), and then the card behaves as silicon would.

Rules about single registers are data (`dataplane.pmd.model.strict.rules`). This module checks what concerns every access:
addresses without a register, access sizes, the wait after a reset, and reports of the data path.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

from dataplane.errors import DatasheetViolation
from dataplane.pmd.datasheet import (
    CTRL,
    FDIRIP6M,
    L34TIMIR,
    MPSAR_HI,
    MPSAR_LO,
    RDBAL,
    RDLEN,
    STATUS,
    TDBAL,
    TDLEN,
    RegisterRef,
    decode,
)
from dataplane.pmd.model.chip import Chip
from dataplane.pmd.model.strict.rules import VIOLATIONS, Violation, Write

__all__ = ["LED_BY", "RESET_WAIT_NS", "Reporter", "Strict", "broken_rule", "refuse"]

RESET_WAIT_NS = 10_000_000  # 4.6.3.2: at least 10 ms
_DURING_RESET = (CTRL.offset, STATUS.offset)  # what a driver may read during that time

# Purpose of a DMA access outside the map -> the register that led to its address, and the section of that register.
LED_BY = {
    "Rx descriptor": ("RDBAL", "8.2.3.8.1"),
    "Rx data": ("RDT", "7.1.6.1"),
    "Tx descriptor": ("TDBAL", "8.2.3.9.5"),
    "Tx data": ("TDT", "7.2.3.2.4"),
    "Tx head": ("TDWBAL", "8.2.3.9.11"),
}

# A later check needs all bits that the driver wrote: the registers do not store some, and L34TIMIR has no reset value.
_REMEMBERED = (RDBAL, RDLEN, TDBAL, TDLEN, L34TIMIR)

# Addresses without a register that drivers write although they work on cards: DPDK's PF with VFs clears MPSAR[128], one past
# the end; its flow director writes the mask of SCTP ports, which only later chips have, after FDIRIP6M.
_SLIPS = {
    MPSAR_LO[127].offset + 8: (0,),
    MPSAR_HI[127].offset + 8: (0,),
    FDIRIP6M.offset + 4: range(1 << 32),
}

_by_line: dict[str, list[Violation]] = {}
for _violation in VIOLATIONS:
    for _line in _violation.registers:
        _by_line.setdefault(_line.name, []).append(_violation)


class Reporter(Protocol):
    """What takes reports: a card."""

    report: Callable[[DatasheetViolation], None] | None  # None: raise the violation


def broken_rule(
    chip: Chip, register: RegisterRef, value: int, spared: Collection[str] = ()
) -> tuple[str, str] | None:
    """The rule that a write breaks, as (text, section), or None. spared: names of rules to leave out."""
    if register.register in _REMEMBERED:
        chip.queues.last_written[register.offset] = value
    for violation in _by_line.get(register.register.name, ()):
        wrong = violation.broken(Write(chip, register, chip.peek(register.offset), value))
        if wrong and violation.name not in spared:
            return f"{wrong}. {violation.rule}", violation.section
    return None


def refuse(reporter: Reporter, name: str, message: str, register: str, value: int, section: str) -> None:
    """Raise DatasheetViolation, or report it to a card that takes reports. name: of the function."""
    violation = DatasheetViolation(
        f"{name}: {message} (datasheet {section})", register=register, value=value, section=section
    )
    if reporter.report is None:
        raise violation
    reporter.report(violation)


class Strict:
    """Checks each access to one port. reporter: its card."""

    def __init__(self, chip: Chip, reporter: Reporter) -> None:
        self.chip, self._reporter = chip, reporter
        self._seen = 0

    def faults(self) -> None:
        """Report DMA outside the map since the last call. An IOMMU blocks it; without one it damages memory."""
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
        """Report what the data path found on the PF's queues since the last call. Those of a VF: see strict/vf.py."""
        for register, value, section, message in self.chip.take_violations(-1):
            self._refuse(message, register, value, section)

    def _after_reset(self, kind: str, offset: int, value: int) -> None:
        began = self.chip.general.reset_at
        passed = self.chip.clock.now_ns - began
        if began and passed < RESET_WAIT_NS:
            register = decode(offset)
            assert register is not None
            self._refuse(
                f"{kind} of {register.name} {passed / 1e6:.3f} ms after a reset: only CTRL and STATUS may be read for 10 ms",
                register.name, value, "4.6.3.2",
            )  # fmt: skip

    def _refuse(self, message: str, register: str, value: int, section: str) -> None:
        refuse(self._reporter, self.chip.name, message, register, value, section)
