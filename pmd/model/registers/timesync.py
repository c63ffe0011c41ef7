# SPDX-License-Identifier: BSD-3-Clause
"""Registers of the clock and of its stamps (datasheet 7.9, 8.2.3.26).

Which frames get a stamp: `dataplane.pmd.model.datapath.stamps`.
"""

from __future__ import annotations

from dataplane.errors import ConfigError
from dataplane.pmd.datasheet import (
    RXSTMPH,
    SYSTIMH,
    SYSTIML,
    TIMADJH,
    TIMADJL,
    TSYNCRXCTL,
    TSYNCTXCTL,
    TXSTMPH,
)
from dataplane.pmd.model.datapath.systim import Systim
from dataplane.pmd.model.registers.block import Board, RegisterBlock, on_read, on_write
from dataplane.pmd.model.registers.controller import Controller
from dataplane.pmd.model.registers.timing import Timing

PPM_MOST = 1000


class TimeSync(RegisterBlock):
    """SYSTIM, TIMADJ, and the locks of the stamps."""

    def __init__(self, chip: Controller, card: Board, timing: Timing) -> None:
        super().__init__(chip, card, timing)
        self.systim = Systim(chip.engine)

    def set_ppm(self, ppm: float) -> None:
        """A fault: make the crystal faster by `ppm` 1e-6 (slower if negative). SYSTIM continues from its value.

        Raises ConfigError beyond +-1000.
        """
        if not -PPM_MOST <= ppm <= PPM_MOST:
            raise ConfigError(f"{self.chip.name}: clock_ppm={ppm:g}: must be -{PPM_MOST} to {PPM_MOST}")
        with self.chip.lock:
            self.systim.ppb = round(ppm * 1000)

    @on_read(SYSTIML)
    def low(self, offset: int, value: int) -> int:
        """8.2.3.26: the time now. SYSTIMH keeps the value of this moment until the next read of SYSTIML."""
        return self.systim.read()

    @on_read(SYSTIMH)
    def high(self, offset: int, value: int) -> int:
        """8.2.3.26: the high half of the time at which SYSTIML was read."""
        return self.systim.latched

    @on_write(SYSTIML, SYSTIMH)
    def set_time(self, offset: int, old: int, new: int, written: int) -> int:
        """8.2.3.26: SILENT about the order: each word takes effect at once."""
        self.systim.set_half(offset == SYSTIMH.offset, written)
        return new

    @on_write(TIMADJH)
    def adjust(self, offset: int, old: int, new: int, written: int) -> int:
        """8.2.3.26: SILENT about which word starts the adjustment: here the high one, which is written last."""
        by = TIMADJH.HIGH.extract(written) << 32 | self.peek(TIMADJL)
        self.systim.adjust(by, bool(written & TIMADJH.SIGN.mask))
        return new

    @on_read(RXSTMPH)
    def received(self, offset: int, value: int) -> int:
        """8.2.3.26: the read unlocks the register for the stamp of the next packet."""
        self.chip.load([(TSYNCRXCTL.offset, self.peek(TSYNCRXCTL) & ~TSYNCRXCTL.VALID.mask)])
        return value

    @on_read(TXSTMPH)
    def sent(self, offset: int, value: int) -> int:
        """8.2.3.26: the read unlocks the register for the stamp of the next packet."""
        self.chip.load([(TSYNCTXCTL.offset, self.peek(TSYNCTXCTL) & ~TSYNCTXCTL.VALID.mask)])
        return value
