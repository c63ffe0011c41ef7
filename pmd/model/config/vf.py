# SPDX-License-Identifier: BSD-3-Clause
"""PCI configuration space of a VF (datasheet 9.5): no identity, no BARs, no memory enable of its own; MSI-X and PCI Express.

`changed(what)` is called with each consequence: "command" (bus mastering), "msix", "flr".
"""

from __future__ import annotations

from collections.abc import Callable

from dataplane.pmd.datasheet import pci
from dataplane.pmd.model.config.words import ConfigWords, extended_header

__all__ = ["VfConfig"]

_DEVICE_CONTROL = pci.PF_PCIE + pci.PCIE_DEVICE_CONTROL
_MSIX_CONTROL = pci.PF_MSIX + pci.MSIX_CONTROL
_NO_ID = 0xFFFF  # a host takes the vendor from the PF, and the device from its SR-IOV capability


class VfConfig(ConfigWords):
    """A VF's 4096 bytes; capabilities lie where the PF has them. `present`: whether there is that VF (else all ones)."""

    def __init__(
        self, subsystem: int, present: Callable[[], bool], changed: Callable[[str], None] = lambda what: None
    ) -> None:
        super().__init__()
        self.changed, self.present = changed, present
        self.header(subsystem, pci.PF_MSIX)
        self.put(pci.VENDOR_ID, 2, _NO_ID)
        self.put(pci.DEVICE_ID, 2, _NO_ID)
        self.put(pci.COMMAND, 2, 0, pci.COMMAND_BUS_MASTER)  # memory is enabled for all VFs together: VF MSE
        self.capability(pci.PF_MSIX, pci.CAP_MSIX, pci.PF_PCIE)
        self.msix(pci.PF_MSIX, pci.VF_VECTORS, pci.VF_BAR_MSIX)
        # Erratum 35: version, device and link capabilities read 0, so FLR is not announced, but it is there.
        self.capability(pci.PF_PCIE, pci.CAP_PCIE, 0)
        self.put(_DEVICE_CONTROL, 2, 0)
        self.put(pci.PF_PCIE + pci.PCIE_DEVICE_STATUS, 2, 0, w1c=0x000F)
        self.put(pci.PF_AER, 4, extended_header(pci.EXT_AER, pci.PF_ARI))
        self.put(pci.PF_AER + 0x04, 4, 0, w1c=0x001F_F030)
        self.put(pci.PF_AER + 0x10, 4, 0, w1c=0x0000_31C1)
        self.put(pci.PF_ARI, 4, extended_header(pci.EXT_ARI, 0))
        self.keep_reset()

    def read(self, offset: int, length: int) -> bytes:
        """Bytes; all ones when there is no such VF."""
        return super().read(offset, length) if self.present() else b"\xff" * length

    def write(self, offset: int, data: bytes) -> None:
        """Write what may be written, then see to the consequences."""
        if not self.present():
            return
        before = self.read(0, pci.SIZE)
        self.store(offset, data)
        flr = _DEVICE_CONTROL + 1 - offset
        if 0 <= flr < len(data) and data[flr] & pci.DEVICE_CONTROL_FLR >> 8:
            self.reset()
            self.changed("flr")
            return
        for what, at in (("command", pci.COMMAND), ("msix", _MSIX_CONTROL)):
            if self.read(at, 2) != before[at : at + 2]:
                self.changed(what)

    @property
    def bus_master(self) -> bool:
        """Whether the VF may read and write memory; messages are writes, too."""
        return self.present() and bool(self.read16(pci.COMMAND) & pci.COMMAND_BUS_MASTER)

    @property
    def msix_enabled(self) -> bool:
        """Whether the driver has enabled MSI-X."""
        return self.present() and self.msix_on(pci.PF_MSIX)
