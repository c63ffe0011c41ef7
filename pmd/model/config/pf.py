# SPDX-License-Identifier: BSD-3-Clause
"""PCI configuration space of a PF: header, BARs, capabilities (datasheet 9.3, 9.4). Little-endian, 4 KiB.

A few words have a consequence, told to `changed(what)`: "command" (memory decoding, bus mastering), "power" (PMCSR), "flr"
(function level reset), "msix", "sriov".
"""

from __future__ import annotations

from collections.abc import Callable

from dataplane.pmd.datasheet import pci
from dataplane.pmd.model.config.sriov import SriovCapability
from dataplane.pmd.model.config.words import ConfigWords, extended_header

__all__ = ["BAR_SIZES", "SUBSYSTEM_ID", "PfConfig"]

_FLASH_BAR0 = 0x80000  # registers and the flash window behind them
BAR_SIZES = {0: _FLASH_BAR0, 2: pci.IO_SIZE, 4: pci.MSIX_SIZE}
_BAR_KIND = {0: pci.BAR_64BIT, 2: pci.BAR_IO, 4: pci.BAR_64BIT}
_ROM_SIZE = 0x80000
_PMCSR = pci.PF_PM + pci.PM_CONTROL
_DEVICE_CONTROL = pci.PF_PCIE + pci.PCIE_DEVICE_CONTROL
_MSIX_CONTROL = pci.PF_MSIX + pci.MSIX_CONTROL
SUBSYSTEM_ID = 0x0003  # a dual-port SFP+ adapter


class PfConfig(ConfigWords):
    """The PF's 4096 bytes. `bars` is where the host has placed each BAR, 0 when it has not; `sriov` is that capability."""

    def __init__(
        self, port: int, ports: int, mac: bytes, changed: Callable[[str], None] = lambda what: None
    ) -> None:
        super().__init__()
        self.port, self.changed = port, changed
        self._header(ports)
        self._capabilities()
        self._extended(mac, ports)
        self.sriov = SriovCapability(self, port)
        self.keep_reset()

    # ---- what is in it ----------------------------------------------------------------------------------------

    def _header(self, ports: int) -> None:
        self.header(SUBSYSTEM_ID, pci.PF_PM)
        self.put(pci.VENDOR_ID, 2, pci.INTEL)
        self.put(pci.DEVICE_ID, 2, pci.PF_82599_SFP)
        self.put(pci.COMMAND, 2, 0, 0x0547)  # I/O, memory, master, parity, SERR, INTx disable
        self.put(pci.CACHE_LINE, 1, 0x10, 0xFF)
        self.put(pci.HEADER_TYPE, 1, pci.MULTI_FUNCTION if ports > 1 else 0)
        for bar, size in BAR_SIZES.items():
            at, kind = pci.BAR0 + 4 * bar, _BAR_KIND[bar]
            self.put(at, 4, kind, ~(size - 1) & 0xFFFF_FFFF)
            if kind & pci.BAR_64BIT:
                self.put(at + 4, 4, 0, 0xFFFF_FFFF)
        self.put(pci.ROM, 4, 0, ~(_ROM_SIZE - 1) & 0xFFFF_FFFF | 1)
        self.put(pci.INTERRUPT_LINE, 1, 0xFF, 0xFF)
        self.put(pci.INTERRUPT_PIN, 1, 1 + self.port)  # INTA, INTB

    def _capabilities(self) -> None:
        """9.3.7 to 9.3.10: power management, MSI, MSI-X, PCI Express, in one chain."""
        self.capability(pci.PF_PM, pci.CAP_PM, pci.PF_MSI)
        self.put(pci.PF_PM + 2, 2, 0x4823)  # version 3, PME from D0 and D3, DSI
        self.put(_PMCSR, 2, 0, 0x0103, w1c=0x8000)  # No_Soft_Reset is 0: the way back from D3 resets
        self.capability(pci.PF_MSI, pci.CAP_MSI, pci.PF_MSIX)
        self.put(pci.PF_MSI + 2, 2, 0x0180, 0x0071)  # 64-bit, maskable, one vector
        self.put(pci.PF_MSI + 4, 4, 0, 0xFFFF_FFFC)
        self.put(pci.PF_MSI + 8, 4, 0, 0xFFFF_FFFF)
        self.put(pci.PF_MSI + 12, 2, 0, 0xFFFF)
        self.put(pci.PF_MSI + 16, 4, 0, 0x1)
        self.capability(pci.PF_MSIX, pci.CAP_MSIX, pci.PF_PCIE)
        self.msix(pci.PF_MSIX, pci.PF_VECTORS, pci.PF_BAR_MSIX)
        self.capability(pci.PF_PCIE, pci.CAP_PCIE, 0)
        self.put(pci.PF_PCIE + 2, 2, 0x0002)  # version 2, endpoint
        self.put(pci.PF_PCIE + pci.PCIE_DEVICE_CAP, 4, 0x1000_8CC2)  # FLR, role based errors, payload 512
        self.put(_DEVICE_CONTROL, 2, 0x2810, 0x7FFF)
        self.put(pci.PF_PCIE + pci.PCIE_DEVICE_STATUS, 2, 0, w1c=0x000F)
        self.put(pci.PF_PCIE + pci.PCIE_LINK_CAP, 4, 0x0003_6C82 | self.port << 24)  # x8, 5 GT/s
        self.put(pci.PF_PCIE + pci.PCIE_LINK_CONTROL, 2, 0, 0x01FB)
        self.put(pci.PF_PCIE + pci.PCIE_LINK_STATUS, 2, 8 << 4 | 2)
        self.put(pci.PF_PCIE + pci.PCIE_DEVICE_CAP2, 4, 0x1F)
        self.put(pci.PF_PCIE + pci.PCIE_DEVICE_CONTROL2, 2, 0, 0x1F)

    def _extended(self, mac: bytes, ports: int) -> None:
        """9.4: error reporting, serial number, ARI, SR-IOV, SR-IOV behind them."""
        self.put(pci.PF_AER, 4, extended_header(pci.EXT_AER, pci.PF_SERIAL))
        self.put(pci.PF_AER + 0x04, 4, 0, w1c=0x001F_F030)
        self.put(pci.PF_AER + 0x08, 4, 0, 0x001F_F030)
        self.put(pci.PF_AER + 0x0C, 4, 0x0006_2030, 0x001F_F030)
        self.put(pci.PF_AER + 0x10, 4, 0, w1c=0x0000_31C1)
        self.put(pci.PF_AER + 0x14, 4, 0x0000_2000, 0x0000_31C1)
        self.put(pci.PF_AER + 0x18, 4, 0xA0, 0x140)
        self.put(pci.PF_SERIAL, 4, extended_header(pci.EXT_SERIAL, pci.PF_ARI))
        serial = mac[:3] + b"\xff\xff" + mac[3:]  # printed from the left; the low dword holds its end
        self.put(pci.PF_SERIAL + 4, 4, int.from_bytes(serial[4:], "big"))
        self.put(pci.PF_SERIAL + 8, 4, int.from_bytes(serial[:4], "big"))
        self.put(pci.PF_ARI, 4, extended_header(pci.EXT_ARI, pci.PF_SRIOV))
        self.put(pci.PF_ARI + 4, 2, (self.port + 1) << 8 if self.port + 1 < ports else 0)

    # ---- access -----------------------------------------------------------------------------------------------

    def write(self, offset: int, data: bytes) -> None:
        """Write what may be written, then see to the consequences."""
        before = self.read(0, pci.SIZE)
        self.store(offset, data)
        touched = range(offset, offset + len(data))
        if (
            _DEVICE_CONTROL + 1 in touched
            and data[_DEVICE_CONTROL + 1 - offset] & pci.DEVICE_CONTROL_FLR >> 8
        ):
            self.changed("flr")
            return
        for what, at in (("power", _PMCSR), ("command", pci.COMMAND), ("msix", _MSIX_CONTROL)):
            if self.read(at, 2) != before[at : at + 2]:
                self.changed(what)
        if self.sriov.settle(before):
            self.changed("sriov")

    def reset(self) -> None:
        """A function level reset, or the way back from D3: every word is as after power-up, VFs are off."""
        super().reset()
        self.sriov.settle(self.read(0, pci.SIZE))

    # ---- what it says -----------------------------------------------------------------------------------------

    @property
    def memory_enabled(self) -> bool:
        """Whether BAR0 and BAR4 answer."""
        return bool(self.read16(pci.COMMAND) & pci.COMMAND_MEMORY) and self.power_state == 0

    @property
    def bus_master(self) -> bool:
        """Whether the function may read and write memory."""
        return bool(self.read16(pci.COMMAND) & pci.COMMAND_BUS_MASTER) and self.power_state == 0

    @property
    def power_state(self) -> int:
        """0 for D0 to 3 for D3hot."""
        return self.read16(_PMCSR) & 3

    @property
    def msix_enabled(self) -> bool:
        """Whether the driver has enabled MSI-X."""
        return self.msix_on(pci.PF_MSIX)

    @property
    def bars(self) -> dict[int, int]:
        """BAR number to the address that the host wrote there."""
        placed = {}
        for bar, kind in _BAR_KIND.items():
            low = self.read32(pci.BAR0 + 4 * bar)
            high = self.read32(pci.BAR0 + 4 * bar + 4) if kind & pci.BAR_64BIT else 0
            placed[bar] = high << 32 | low & (~0x3 if kind & pci.BAR_IO else ~0xF)
        return placed
