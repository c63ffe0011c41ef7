# SPDX-License-Identifier: BSD-3-Clause
"""PCI configuration space of a PF: header, BARs, capabilities (datasheet 9.3, 9.4). Little-endian, 4 KiB.

Each byte has a mask of the bits that a write changes; a few words have a consequence, told to `changed(what)`:
"command" (memory decoding, bus mastering), "power" (PMCSR), "flr" (function level reset), "msix".
"""

from __future__ import annotations

from collections.abc import Callable

from pmd.datasheet import pci
from pmd.function import ConfigSpace

__all__ = ["BAR_SIZES", "PfConfig"]

_FLASH_BAR0 = 0x80000  # registers and the flash window behind them
BAR_SIZES = {0: _FLASH_BAR0, 2: pci.IO_SIZE, 4: pci.MSIX_SIZE}
_BAR_KIND = {0: pci.BAR_64BIT, 2: pci.BAR_IO, 4: pci.BAR_64BIT}
_ROM_SIZE = 0x80000
_PMCSR = pci.PF_PM + pci.PM_CONTROL
_DEVICE_CONTROL = pci.PF_PCIE + pci.PCIE_DEVICE_CONTROL
_MSIX_CONTROL = pci.PF_MSIX + pci.MSIX_CONTROL
_SUBSYSTEM_ID = 0x0003  # a dual-port SFP+ adapter


class PfConfig(ConfigSpace):
    """The PF's 4096 bytes. `bars` is where the host has placed each BAR, 0 when it has not."""

    def __init__(
        self, port: int, ports: int, mac: bytes, changed: Callable[[str], None] = lambda what: None
    ) -> None:
        self.port, self.changed = port, changed
        self._words = bytearray(pci.SIZE)
        self._writable = bytearray(pci.SIZE)
        self._w1c = bytearray(pci.SIZE)
        self._header(ports)
        self._capabilities()
        self._extended(mac, ports)
        self._reset_image = bytes(self._words)

    # ---- what is in it ----------------------------------------------------------------------------------------

    def _put(self, offset: int, size: int, value: int, writable: int = 0, w1c: int = 0) -> None:
        self._words[offset : offset + size] = value.to_bytes(size, "little")
        self._writable[offset : offset + size] = writable.to_bytes(size, "little")
        self._w1c[offset : offset + size] = w1c.to_bytes(size, "little")

    def _header(self, ports: int) -> None:
        self._put(pci.VENDOR_ID, 2, pci.INTEL)
        self._put(pci.DEVICE_ID, 2, pci.PF_82599_SFP)
        self._put(pci.COMMAND, 2, 0, 0x0547)  # I/O, memory, master, parity, SERR, INTx disable
        self._put(pci.STATUS, 2, pci.STATUS_CAPABILITIES, w1c=0xF900)
        self._put(pci.REVISION, 1, pci.REVISION_ON_CARDS)
        self._put(pci.CLASS, 3, pci.CLASS_ETHERNET)
        self._put(pci.CACHE_LINE, 1, 0x10, 0xFF)
        self._put(pci.HEADER_TYPE, 1, pci.MULTI_FUNCTION if ports > 1 else 0)
        for bar, size in BAR_SIZES.items():
            at, kind = pci.BAR0 + 4 * bar, _BAR_KIND[bar]
            self._put(at, 4, kind, ~(size - 1) & 0xFFFF_FFFF)
            if kind & pci.BAR_64BIT:
                self._put(at + 4, 4, 0, 0xFFFF_FFFF)
        self._put(pci.SUBSYSTEM_VENDOR, 2, pci.INTEL)
        self._put(pci.SUBSYSTEM, 2, _SUBSYSTEM_ID)
        self._put(pci.ROM, 4, 0, ~(_ROM_SIZE - 1) & 0xFFFF_FFFF | 1)
        self._put(pci.CAPABILITIES, 1, pci.PF_PM)
        self._put(pci.INTERRUPT_LINE, 1, 0xFF, 0xFF)
        self._put(pci.INTERRUPT_PIN, 1, 1 + self.port)  # INTA, INTB

    def _capabilities(self) -> None:
        """9.3.7 to 9.3.10: power management, MSI, MSI-X, PCI Express, in one chain."""
        self._capability(pci.PF_PM, pci.CAP_PM, pci.PF_MSI)
        self._put(pci.PF_PM + 2, 2, 0x4823)  # version 3, PME from D0 and D3, DSI
        self._put(_PMCSR, 2, 0, 0x0103, w1c=0x8000)  # No_Soft_Reset is 0: the way back from D3 resets
        self._capability(pci.PF_MSI, pci.CAP_MSI, pci.PF_MSIX)
        self._put(pci.PF_MSI + 2, 2, 0x0180, 0x0071)  # 64-bit, maskable, one vector
        self._put(pci.PF_MSI + 4, 4, 0, 0xFFFF_FFFC)
        self._put(pci.PF_MSI + 8, 4, 0, 0xFFFF_FFFF)
        self._put(pci.PF_MSI + 12, 2, 0, 0xFFFF)
        self._put(pci.PF_MSI + 16, 4, 0, 0x1)
        self._capability(pci.PF_MSIX, pci.CAP_MSIX, pci.PF_PCIE)
        self._put(_MSIX_CONTROL, 2, pci.PF_VECTORS - 1, pci.MSIX_ENABLE | pci.MSIX_MASK_ALL)
        self._put(pci.PF_MSIX + pci.MSIX_TABLE, 4, pci.PF_BAR_MSIX)
        self._put(pci.PF_MSIX + pci.MSIX_PBA, 4, pci.MSIX_PBA_AT | pci.PF_BAR_MSIX)
        self._capability(pci.PF_PCIE, pci.CAP_PCIE, 0)
        self._put(pci.PF_PCIE + 2, 2, 0x0002)  # version 2, endpoint
        self._put(pci.PF_PCIE + pci.PCIE_DEVICE_CAP, 4, 0x1000_8CC2)  # FLR, role based errors, payload 512
        self._put(_DEVICE_CONTROL, 2, 0x2810, 0x7FFF)
        self._put(pci.PF_PCIE + pci.PCIE_DEVICE_STATUS, 2, 0, w1c=0x000F)
        self._put(pci.PF_PCIE + pci.PCIE_LINK_CAP, 4, 0x0003_6C82 | self.port << 24)  # x8, 5 GT/s
        self._put(pci.PF_PCIE + pci.PCIE_LINK_CONTROL, 2, 0, 0x01FB)
        self._put(pci.PF_PCIE + pci.PCIE_LINK_STATUS, 2, 8 << 4 | 2)
        self._put(pci.PF_PCIE + pci.PCIE_DEVICE_CAP2, 4, 0x1F)
        self._put(pci.PF_PCIE + pci.PCIE_DEVICE_CONTROL2, 2, 0, 0x1F)

    def _capability(self, at: int, identifier: int, following: int) -> None:
        self._put(at, 1, identifier)
        self._put(at + 1, 1, following)

    def _extended(self, mac: bytes, ports: int) -> None:
        """9.4: error reporting, serial number, ARI, SR-IOV. VFs cannot be enabled yet: NumVFs and VF Enable read 0."""
        self._put(pci.PF_AER, 4, _extended_header(pci.EXT_AER, pci.PF_SERIAL))
        self._put(pci.PF_AER + 0x04, 4, 0, w1c=0x001F_F030)
        self._put(pci.PF_AER + 0x08, 4, 0, 0x001F_F030)
        self._put(pci.PF_AER + 0x0C, 4, 0x0006_2030, 0x001F_F030)
        self._put(pci.PF_AER + 0x10, 4, 0, w1c=0x0000_31C1)
        self._put(pci.PF_AER + 0x14, 4, 0x0000_2000, 0x0000_31C1)
        self._put(pci.PF_AER + 0x18, 4, 0xA0, 0x140)
        self._put(pci.PF_SERIAL, 4, _extended_header(pci.EXT_SERIAL, pci.PF_ARI))
        serial = mac[:3] + b"\xff\xff" + mac[3:]  # printed from the left; the low dword holds its end
        self._put(pci.PF_SERIAL + 4, 4, int.from_bytes(serial[4:], "big"))
        self._put(pci.PF_SERIAL + 8, 4, int.from_bytes(serial[:4], "big"))
        self._put(pci.PF_ARI, 4, _extended_header(pci.EXT_ARI, pci.PF_SRIOV))
        self._put(pci.PF_ARI + 4, 2, (self.port + 1) << 8 if self.port + 1 < ports else 0)
        self._sriov()

    def _sriov(self) -> None:
        at = pci.PF_SRIOV
        self._put(at, 4, _extended_header(pci.EXT_SRIOV, 0))
        self._put(at + pci.SRIOV_INITIAL_VFS, 2, pci.SRIOV_VFS)
        self._put(at + pci.SRIOV_TOTAL_VFS, 2, pci.SRIOV_VFS)
        self._put(at + pci.SRIOV_FUNCTION_LINK, 1, self.port)
        self._put(at + pci.SRIOV_FIRST_VF, 2, pci.SRIOV_FIRST_VF_NO_ARI)
        self._put(at + pci.SRIOV_VF_STRIDE, 2, pci.SRIOV_STRIDE)
        self._put(at + pci.SRIOV_VF_DEVICE, 2, pci.VF_82599)
        self._put(at + pci.SRIOV_PAGE_SIZES, 4, pci.SRIOV_SUPPORTED_PAGES)
        self._put(at + pci.SRIOV_PAGE_SIZE, 4, 1)
        for bar in (pci.SRIOV_VF_BAR0, pci.SRIOV_VF_BAR3):
            self._put(at + bar, 4, pci.BAR_64BIT)

    # ---- access -----------------------------------------------------------------------------------------------

    def read(self, offset: int, length: int) -> bytes:
        """Bytes; past the end, and with nothing behind, all ones."""
        return bytes(self._words[offset : offset + length]).ljust(length, b"\xff")

    def write(self, offset: int, data: bytes) -> None:
        """Write what may be written, then see to the consequences."""
        before = bytes(self._words[: pci.SIZE])
        for at, byte in enumerate(data, offset):
            if at < pci.SIZE:
                kept = self._words[at] & ~self._writable[at] & ~(byte & self._w1c[at])
                self._words[at] = kept | byte & self._writable[at]
        touched = range(offset, offset + len(data))
        if (
            _DEVICE_CONTROL + 1 in touched
            and data[_DEVICE_CONTROL + 1 - offset] & pci.DEVICE_CONTROL_FLR >> 8
        ):
            self.changed("flr")
            return
        for what, at in (("power", _PMCSR), ("command", pci.COMMAND), ("msix", _MSIX_CONTROL)):
            if self._words[at : at + 2] != before[at : at + 2]:
                self.changed(what)

    def reset(self) -> None:
        """A function level reset, or the way back from D3: every word is as after power-up."""
        self._words[:] = self._reset_image

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
        control = self.read16(_MSIX_CONTROL)
        return bool(control & pci.MSIX_ENABLE) and not control & pci.MSIX_MASK_ALL

    @property
    def bars(self) -> dict[int, int]:
        """BAR number to the address that the host wrote there."""
        placed = {}
        for bar, kind in _BAR_KIND.items():
            low = self.read32(pci.BAR0 + 4 * bar)
            high = self.read32(pci.BAR0 + 4 * bar + 4) if kind & pci.BAR_64BIT else 0
            placed[bar] = high << 32 | low & (~0x3 if kind & pci.BAR_IO else ~0xF)
        return placed


def _extended_header(identifier: int, following: int) -> int:
    return identifier | 1 << 16 | following << 20  # version 1
