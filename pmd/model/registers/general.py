# SPDX-License-Identifier: BSD-3-Clause
"""Reset, status, pins and timers of one port (datasheet 4.2, 8.2.3.1, 8.2.3.15)."""

from __future__ import annotations

from collections.abc import Callable

from dataplane.pmd.datasheet import (
    CTRL,
    EICR,
    ESDP,
    FRTIMER,
    I2CCTL,
    MSCA,
    MSRWD,
    STATUS,
    TCPTIMER,
)
from dataplane.pmd.model.registers.access import ram_offsets, reset_words
from dataplane.pmd.model.registers.block import Board, RegisterBlock, on_read, on_write
from dataplane.pmd.model.registers.controller import Controller
from dataplane.pmd.model.registers.i2c import Bus
from dataplane.pmd.model.registers.link import LinkRegisters
from dataplane.pmd.model.registers.timing import Timing

_POWER_UP_PATTERN = 0xA5C3_9669  # the content of a strict card's tables until the driver clears them
_MDIO_READ = (2, 3)  # MSCA.OP


class General(RegisterBlock):
    """CTRL and STATUS, the pins behind ESDP and I2CCTL, MDIO without a PHY."""

    # ns: the earliest times at which the last reset by CTRL (0: none yet) and the current access (0: now) were requested.
    reset_at = 0
    asked_at = 0

    def __init__(
        self,
        chip: Controller,
        card: Board,
        timing: Timing,
        link: LinkRegisters,
        reset_blocks: Callable[[bool], None],
    ) -> None:
        super().__init__(chip, card, timing)
        self.link = link
        self._reset_blocks = reset_blocks  # of all blocks of the port

    def power_up(self) -> None:
        """Reset all registers. The tables in RAM have no reset value: on a strict card they are not 0."""
        self.chip.load(reset_words(power_up=True))
        if self.chip.strict is not None:
            self.chip.load([(offset, _POWER_UP_PATTERN) for offset in ram_offsets()])
        self._from_reset(power_up=True)

    def restart(self) -> None:
        """4.2: reset the port, for CTRL.RST, LRST, a function level reset and the return from D3."""
        self.chip.forget()
        self.chip.load(reset_words(power_up=False))
        self._from_reset(power_up=False)

    def _from_reset(self, power_up: bool) -> None:
        self._reset_blocks(power_up)
        self.chip.restart_engine()

    def reset(self, power_up: bool) -> None:
        self.plug_module()
        status = STATUS.pack(LAN_ID=self.card.lan_id(self.chip.port), GIO=1)
        self.chip.load([(STATUS.offset, status | self.peek(STATUS) & STATUS.LINK_UP.mask)])
        self.chip.engine_runs()

    def plug_module(self) -> None:
        """Connect the module that is in the cage to the I2C pins."""
        self.i2c = Bus(self.card.sfp(self.chip.port))

    @on_write(CTRL)
    def control(self, offset: int, old: int, new: int, written: int) -> int:
        """8.2.3.1.1: RST and LRST reset the port and clear themselves; GIO_DIS ends DMA and, in time, STATUS.GIO."""
        begun = written & (CTRL.RST.mask | CTRL.LRST.mask)
        if begun:
            if begun & CTRL.LRST.mask:
                self.link.drop()
            self.restart()
            self.reset_at = self.asked_at or self.chip.clock.now_ns
            self.chip.after(self.timing.reset, CTRL.offset, begun)
            return begun
        if new & CTRL.GIO_DIS.mask:
            if self.get(STATUS.GIO):
                self.later(self.timing.master, STATUS.GIO, 0)
        elif old & CTRL.GIO_DIS.mask:
            self.put(STATUS.GIO, 1)
        self.chip.engine_runs(new)
        return new | old & (CTRL.RST.mask | CTRL.LRST.mask)

    @on_write(ESDP)
    def drive_pins(self, offset: int, old: int, new: int, written: int) -> int:
        """8.2.3.1.4: SDP3 as an output is the module's Tx disable: while it is high, the other end sees no light."""
        self.chip.shine(not (new & ESDP.SDP3.mask and ESDP.DIR.extract(new) & ESDP.SDP3.mask))
        return new

    @on_read(ESDP)
    def pins(self, offset: int, value: int) -> int:
        """8.2.3.1.4: an SDP pin whose direction is in shows the board's signal. SDP2 is 1 while an SFP module is in."""
        outputs = ESDP.DIR.extract(value)
        inputs = ESDP.SDP2.mask if self.card.sfp(self.chip.port) is not None else 0
        return value & ~0xFF | value & outputs | inputs & ~outputs & 0xFF

    @on_read(I2CCTL)
    def i2c_pins(self, offset: int, value: int) -> int:
        """8.2.3.1.5: the pins are open drain: each reads 0 while the chip or the SFP module pulls it down."""
        return I2CCTL.update(value, CLK_IN=self.i2c.clock, DATA_IN=self.i2c.data)

    @on_write(I2CCTL)
    def i2c_drive(self, offset: int, old: int, new: int, written: int) -> int:
        """8.2.3.1.5: CLK_OUT and DATA_OUT drive the module's bus."""
        self.i2c.drive(bool(new & I2CCTL.CLK_OUT.mask), bool(new & I2CCTL.DATA_OUT.mask))
        return new

    @on_read(FRTIMER)
    def free_running(self, offset: int, value: int) -> int:
        """8.2.3.15: SILENT about the unit of the free running timer: microseconds here."""
        return self.chip.clock.now_ns // 1000 & 0xFFFF_FFFF

    @on_write(TCPTIMER)
    def tcp_timer(self, offset: int, old: int, new: int, written: int) -> int:
        """8.2.3.15: KICK starts DURATION ms; then FINISH and a cause. LOOP runs once only."""
        if written & TCPTIMER.KICK.mask and new & TCPTIMER.ENABLE.mask:
            new &= ~TCPTIMER.FINISH.mask
            self.later(
                TCPTIMER.DURATION.extract(new) * 1_000_000, TCPTIMER.FINISH, 1, cause=EICR.TCP_TIMER.mask
            )
        elif not new & TCPTIMER.ENABLE.mask:
            self.chip.forget(offset)
        return new

    @on_write(MSCA)
    def mdio(self, offset: int, old: int, new: int, written: int) -> int:
        """8.2.3.22: an SFP+ board has no PHY on MDIO: commands end at once, and reads return all ones."""
        if written & MSCA.START.mask and MSCA.OP.extract(written) in _MDIO_READ:
            self.poke(MSRWD, MSRWD.update(self.peek(MSRWD), READ=0xFFFF))
        return new
