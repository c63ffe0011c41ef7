# SPDX-License-Identifier: BSD-3-Clause
"""The link: 10 Gb/s over SFI or 1 Gb/s, its state, flow control off (datasheet 4.6.4, 8.2.3.3, 8.2.3.22)."""

from __future__ import annotations

from dataplane.errors import DeviceTimeout
from dataplane.pmd.datasheet import (
    AUTOC,
    AUTOC2,
    ESDP,
    FCCFG,
    FCRTH,
    FCRTL,
    FCRTV,
    FCTTV,
    LINKS,
    LMS_1G_AN,
    LMS_10G_SERIAL,
    MBPS,
    MFLCN,
    SERIAL_SFI,
    SW_FW_SYNC,
    eeprom,
    limits,
)
from dataplane.pmd.datasheet.pci import PF_IDS
from dataplane.pmd.function import Bar
from dataplane.pmd.ixgbe.nvm import semaphore
from dataplane.port import Link

__all__ = ["LinkUnit"]


class LinkUnit:
    """MAC and PHY of one port. caps: the EEPROM's device capabilities word; gbps: what its module does, 10 or 1."""

    def __init__(self, bar: Bar, device_id: int, caps: int, gbps: int = 10) -> None:
        self.bar, self.gbps = bar, gbps
        self.is_sfp = "SFP" in PF_IDS.get(device_id, "")
        self.checks_module = self.is_sfp and not caps & eeprom.CAPS_NO_CROSSTALK_WORKAROUND

    @property
    def fastest(self) -> int:
        """The speed that the link can come up with as it is set up, in Mb/s; it may come up with less, and never with more.

        An SFP+ cage does not negotiate its speed. SILENT: a backplane does, and may be at 10 Gb/s before the driver looks.
        """
        return self.gbps * 1000 if self.is_sfp else 10_000

    def flow_control_off(self, packet_buffer: int = limits.RX_PACKET_BUFFER) -> None:
        """4.6.3.2, 8.2.3.3: no pause frames are sent, and those that arrive are dropped without effect.

        packet_buffer: bytes of it that are for packets.
        """
        bar = self.bar
        for registers in (FCTTV, FCRTL):
            for register in registers:
                bar.write(register, 0)
        bar.write(FCRTV, 0)
        bar.write(FCCFG, 0)
        # 8.2.3.3.4: the high mark must be set even so, or the packet buffer's room is not known.
        mark = (packet_buffer - limits.PAUSE_RTH_MARGIN) >> 5
        for register in FCRTH:
            bar.write(register, register.pack(RTH=mark if register.index == 0 else 0))
        bar.update(MFLCN, PMCF=0, DPF=1, RPFCE=0, RFCE=0)

    def set_up(self) -> None:
        """4.6.4.2: 10 Gb/s serial over SFI, without auto-negotiation, or 1000BASE-X with it (4.6.4.3).

        A link that runs so already is left alone.
        """
        bar = self.bar
        if not self.is_sfp:
            return  # SKIPPED: backplane and CX4 boards: their EEPROM has set AUTOC, and auto-negotiation does the rest
        # SILENT: a driver before us may have switched the module's laser off (SDP3 high), which no reset undoes.
        bar.clear(ESDP.SDP3)
        mode = LMS_10G_SERIAL if self.gbps == 10 else LMS_1G_AN
        as_wanted = bar.get(AUTOC.LMS) == mode
        if mode == LMS_10G_SERIAL:
            as_wanted = as_wanted and bar.get(AUTOC2.PMA10G_SERIAL) == SERIAL_SFI
        if as_wanted and bar.get(LINKS.UP):
            return
        with semaphore(bar, SW_FW_SYNC.SW_MAC, SW_FW_SYNC.FW_MAC):  # firmware writes AUTOC too
            # PMA1G 0: SFI, the pins that lead to the cage.
            bar.update(AUTOC, LMS=mode, PMA1G=0)
            bar.update(AUTOC2, PMA10G_SERIAL=SERIAL_SFI, LINK_DISABLE=0)
            bar.set(AUTOC.RESTART_AN)

    def state(self) -> Link:
        """8.2.3.22.20: LINKS, read twice: the first read may tell of a moment that is over."""
        bar = self.bar
        bar.read(LINKS)
        word = bar.read(LINKS)
        if word == 0xFFFF_FFFF:
            bar.check()
        # An empty cage can look like a link, by crosstalk from the neighbour (specification update).
        if not LINKS.UP.extract(word) or (self.checks_module and not bar.get(ESDP.SDP2)):
            return Link(False, 0)
        return Link(True, MBPS.get(LINKS.SPEED.extract(word), 0))

    def wait_up(self, timeout: float) -> Link:
        """4.6.4: the link comes up by itself; at most `timeout` s. Raises DeviceTimeout."""
        deadline = self.bar.now() + timeout
        while True:
            late = self.bar.now() >= deadline
            state = self.state()
            if state.up:
                return state
            if late:
                raise DeviceTimeout(
                    f"{LINKS.UP} still 0 after {timeout:g} s on {self.bar.name} (datasheet {LINKS.section}): see "
                    f"that cable and module are in, and that the other end is up"
                )
            self.bar.sleep(min(0.01, max(timeout, 1e-4)))
