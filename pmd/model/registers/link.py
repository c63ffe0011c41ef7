# SPDX-License-Identifier: BSD-3-Clause
"""The link: auto-negotiation, what LINKS says, and when it comes up (datasheet 4.6.4, 8.2.3.22, 3.7)."""

from __future__ import annotations

from dataplane.pmd.datasheet import (
    ANLP1,
    AUTOC,
    AUTOC2,
    EICR,
    HLREG0,
    LINKS,
    LMS_1G,
    LMS_1G_AN,
    LMS_10G_PARALLEL,
    LMS_10G_SERIAL,
    LMS_SGMII,
    MACC,
    SERIAL_SFI,
    SERIAL_XFI,
    SPEED_1G,
    SPEED_10G,
    STATUS,
)
from dataplane.pmd.model.registers.block import RegisterBlock, on_read, on_write

_UP, _LATCHED_UP = LINKS.UP.mask, LINKS.LATCHED_UP.mask
_AN_IDLE = 4  # ANLP1.AN_STATE: any state but 0 says that the pipeline runs


class LinkRegisters(RegisterBlock):
    """Up when there is light at the other end and AUTOC speaks a language that an SFP+ module does."""

    carrier = False  # the other end of the wire is there and lit
    unplugged = False  # a fault

    def reset(self, power_up: bool) -> None:
        self.chip.load(
            [
                (AUTOC.offset, AUTOC.pack(LMS=LMS_10G_SERIAL)),  # as an SFP+ board's EEPROM has it
                (AUTOC2.offset, AUTOC2.pack(PMA10G_SERIAL=SERIAL_SFI)),
                (ANLP1.offset, ANLP1.pack(AN_STATE=_AN_IDLE)),
            ]
        )
        if self.up and self.get(LINKS.SPEED) != self.speed:
            self.drop()
        self.evaluate()

    @property
    def up(self) -> bool:
        """Whether LINKS says that the link is up."""
        return bool(self.get(LINKS.UP))

    @property
    def speed(self) -> int:
        """LINKS.SPEED that AUTOC asks for; 0 when it is set up for something that an SFP+ board or the module has not.

        A module of 1 Gbit/s does that alone; the cable that is in otherwise carries both.
        """
        mode = self.get(AUTOC.LMS)
        if mode == LMS_10G_SERIAL and self.card.module_speed(self.chip.port) == 1:
            return 0
        if mode == LMS_10G_SERIAL:
            return SPEED_10G if self.get(AUTOC2.PMA10G_SERIAL) in (SERIAL_XFI, SERIAL_SFI) else 0
        if mode in (LMS_1G, LMS_1G_AN, LMS_SGMII):
            return SPEED_1G
        # Four lanes: no SFP+ module has them, but a loopback inside the chip needs none (datasheet 14.1).
        return SPEED_10G if mode == LMS_10G_PARALLEL and self.get(AUTOC.FLU) else 0

    def set_carrier(self, carrier: bool) -> None:
        """The wire's other end came or went."""
        if carrier != self.carrier:
            self.carrier = carrier
            self.evaluate()

    def set_unplugged(self, unplugged: bool) -> None:
        """A fault: the wire is pulled out, or put back."""
        self.unplugged = unplugged
        self.evaluate()

    def drop(self) -> None:
        """Set the link down now."""
        self.chip.forget(STATUS.offset, STATUS.LINK_UP.mask)
        self.chip.forget(LINKS.offset)
        if self.up:
            self.poke(LINKS, 0)
            self.put(STATUS.LINK_UP, 0)
            self.chip.cause(EICR.LSC.mask)

    def evaluate(self) -> None:
        """Bring the link up, in `Timing.link`, or take it down, as AUTOC, HLREG0 and the wire say now."""
        self.chip.set_pace(self.speed)
        able = bool(self.speed) and not self.get(AUTOC2.LINK_DISABLE) and not self.unplugged
        forced = self.get(HLREG0.LPBK) or self.get(AUTOC.FLU) or self.get(MACC.FLU)
        wanted = able and (self.carrier or forced)
        if not wanted:
            self.drop()
        elif self.up and self.get(LINKS.SPEED) != self.speed:
            self.drop()
            self.evaluate()
        elif not self.up and not self.chip.is_pending(LINKS.offset):
            speed = self.speed
            at_10g = int(speed == SPEED_10G)
            word = LINKS.pack(UP=1, SPEED=speed, LATCHED_UP=0, ALIGN_10G=at_10g, SYNC_1G=1 - at_10g)
            self.chip.after(self.timing.link, LINKS.offset, 0xFFFF_FFFF, word)
            self.later(self.timing.link, STATUS.LINK_UP, 1, cause=EICR.LSC.mask)

    @on_write(AUTOC)
    def auto_negotiation(self, offset: int, old: int, new: int, written: int) -> int:
        """8.2.3.22.19: RESTART_AN takes the link down and starts again with what LMS says; it clears itself."""
        self.chip.load([(offset, new)])
        if written & AUTOC.RESTART_AN.mask:
            self.drop()
        self.evaluate()
        return new

    @on_write(AUTOC2, HLREG0, MACC)
    def link_settings(self, offset: int, old: int, new: int, written: int) -> int:
        """8.2.3.22: LINK_DISABLE, LPBK and FLU have their say in the link, too."""
        self.chip.load([(offset, new)])
        self.evaluate()
        return new

    @on_read(LINKS)
    def status(self, offset: int, value: int) -> int:
        """8.2.3.22.20: LATCHED_UP stays 0 from when the link was lost until it has been read once with the link up."""
        if not value & _LATCHED_UP and value & _UP:
            self.chip.load([(offset, value | _LATCHED_UP)])
        return value
