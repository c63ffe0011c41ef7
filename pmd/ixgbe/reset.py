# SPDX-License-Identifier: BSD-3-Clause
"""Quiet the device, reset it, and wait until it is ready (datasheet 4.2.1, 4.6.3, 5.2.5.3.2)."""

from __future__ import annotations

from dataplane.errors import DeviceTimeout
from dataplane.pmd.datasheet import (
    CTRL,
    CTRL_EXT,
    EICR,
    EIMC,
    EIMC_EX,
    GCR_EXT,
    HLREG0,
    LINKS,
    PFDTXGSWC,
    RDRXCTL,
    RXCTRL,
    RXDCTL,
    STATUS,
    TXDCTL,
    limits,
)
from dataplane.pmd.function import Bar

__all__ = ["DeviceReset"]


class DeviceReset:
    """Stops and resets a device, in whatever state the last driver left it."""

    def __init__(self, bar: Bar) -> None:
        self.bar = bar

    def run(self) -> None:
        """4.6.3: stop everything, reset, wait, and see that the chip has initialised itself."""
        self.stop_receive()
        self.mask_interrupts()
        self.stop_queues()
        pending = not self.disable_master()
        if pending:
            self.flush_pending()
        self.reset()
        if pending:
            self.reset()  # 5.2.5.3.2: after a flush twice, or requests of before the reset may still come back
        self.mask_interrupts()
        self.dma_init()

    def stop_receive(self) -> None:
        """4.6.7.1.2: no more packets into the packet buffer. Switching between pools ends first."""
        bar = self.bar
        if bar.get(PFDTXGSWC.LBE):
            bar.clear(PFDTXGSWC.LBE)
        bar.clear(RXCTRL.RXEN)

    def mask_interrupts(self) -> None:
        """4.6.3.1: every cause masked, and what was pending taken away by a read."""
        bar = self.bar
        bar.write(EIMC, 0x7FFF_FFFF)
        for bank in EIMC_EX:
            bar.write(bank, 0xFFFF_FFFF)
        bar.read(EICR)

    def stop_queues(self) -> None:
        """4.6.7.1.2, 4.6.8.1.2: queues that a driver before us left on. Those that are off are not touched."""
        bar = self.bar
        for queue in range(limits.TX_QUEUES):
            if bar.get(TXDCTL[queue].ENABLE):
                bar.write(TXDCTL[queue], TXDCTL[queue].pack(SWFLSH=1))
        stopping = [RXDCTL[queue] for queue in range(limits.RX_QUEUES) if bar.get(RXDCTL[queue].ENABLE)]
        for register in stopping:
            bar.clear(register.ENABLE)
        for register in stopping:
            try:
                bar.wait(register.ENABLE, 0, timeout=0.1)
            except DeviceTimeout:  # a VF may have enabled its queue again meanwhile
                bar.clear(register.ENABLE)
                bar.wait(register.ENABLE, 0, timeout=0.1)
        if stopping:
            bar.sleep(1e-4)  # 4.6.7.1.2: a write-back may still be on its way

    def disable_master(self) -> bool:
        """5.2.5.3.2: no new requests to memory; wait for those under way. False if they do not end."""
        self.bar.update(CTRL, GIO_DIS=1, RST=0, LRST=0)  # not by accident another reset, if one is under way
        try:
            self.bar.wait(STATUS.GIO, 0, timeout=0.08)
        except DeviceTimeout:
            return False
        return True

    def flush_pending(self) -> None:
        """5.2.5.3.2: requests that never end sit in the Tx path: loop it back to itself and empty the buffers."""
        bar = self.bar
        hlreg0, gcr_ext = bar[HLREG0], bar[GCR_EXT]
        bar.write(HLREG0, HLREG0.update(hlreg0, LPBK=1))
        bar.clear(RXCTRL.RXEN)
        bar.sleep(3e-3)
        bar.write(GCR_EXT, GCR_EXT.update(gcr_ext, BUFFERS_CLEAR=1))
        bar.sleep(2e-5)
        bar.write(HLREG0, hlreg0)
        bar.write(GCR_EXT, gcr_ext)
        bar.wait(STATUS.GIO, 0, timeout=0.08)

    def reset(self) -> None:
        """8.2.3.1.1: software reset; the link too when it is down, or it would be lost at every start.

        Other threads' accesses wait until it is over (4.6.3.2).
        """
        bar = self.bar
        link = () if bar.get(LINKS.UP) else (CTRL.LRST,)
        with bar.exclusively():
            bar.set(CTRL.RST, *link)
            bar.sleep(1e-3)  # 8.2.3.1.1: registers must not be touched in the first millisecond
            bar.wait(CTRL.RST, 0, timeout=0.1)
            if link:
                bar.wait(CTRL.LRST, 0, timeout=0.1)
            bar.sleep(1e-2)  # 4.6.3.2: 10 ms until the EEPROM has been read
        # SILENT: whether a reset lifts the master disable. We do, it costs one access.
        bar.clear(CTRL.GIO_DIS)

    def dma_init(self) -> None:
        """4.6.3: the DMA unit has initialised its memories."""
        self.bar.wait(RDRXCTL.DMAIDONE, timeout=1.0)

    def announce(self, serves: bool = True) -> None:
        """8.2.3.1.3: a driver owns the port. serves: PFRSTD lets VFs go on (7.10.2.9, 4.6.10.2.1)."""
        self.bar.update(CTRL_EXT, PFRSTD=int(serves), DRV_LOAD=1)

    def withdraw(self) -> None:
        """8.2.3.1.3: no driver owns the port any more."""
        self.bar.clear(CTRL_EXT.DRV_LOAD)
