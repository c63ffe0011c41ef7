# SPDX-License-Identifier: BSD-3-Clause
"""PCI devices as Linux shows them in sysfs: their kernel driver, IOMMU group, BARs, VFs and device files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dataplane.errors import DeviceError
from dataplane.files.sysfs import entries, link_name, read_number, read_text

__all__ = ["SYSFS", "UIO_DRIVERS", "VFIO_DRIVER", "PciDevice", "full_address"]

SYSFS = Path("/sys")
VFIO_DRIVER = "vfio-pci"
UIO_DRIVERS = ("uio_pci_generic", "igb_uio")

_MEMORY, _IO = 0x200, 0x100  # flags of a BAR in `resource`
# Drivers that leave a device alone. VFIO opens an IOMMU group only if each of its devices has one of these.
_PASSIVE = ("", VFIO_DRIVER, "pci-stub", "pcieport")


def full_address(text: str) -> str:
    """A PCI address as sysfs writes it: "03:00.0" is "0000:03:00.0"."""
    return (text if text.count(":") == 2 else f"0000:{text}").lower()


@dataclass(frozen=True)
class PciDevice:
    """One PCI function. address: "0000:03:00.0". root: the folder of sysfs."""

    address: str
    root: Path = SYSFS

    @property
    def folder(self) -> Path:
        """Its folder in sysfs."""
        return self.root / "bus/pci/devices" / self.address

    @property
    def exists(self) -> bool:
        """Whether this machine has the device."""
        return self.folder.exists()

    def text(self, name: str, default: str = "") -> str:
        """The text of the device's file `name`; `default` if it cannot be read."""
        return read_text(self.folder / name, default)

    def number(self, name: str, default: int = 0) -> int:
        """The number in the device's file `name`; `default` if it cannot be read."""
        return read_number(self.folder / name, default)

    @property
    def driver(self) -> str:
        """The kernel driver to which it is bound, "" if none."""
        return link_name(self.folder / "driver")

    @property
    def iommu_group(self) -> str:
        """The number of its IOMMU group, "" without an IOMMU."""
        return link_name(self.folder / "iommu_group")

    @property
    def physical_function(self) -> str:
        """The address of the PF whose VF it is, "" if it is not a VF."""
        return link_name(self.folder / "physfn")

    @property
    def interfaces(self) -> list[str]:
        """The names of the kernel's network interfaces on it."""
        return [path.name for path in entries(self.folder / "net")]

    def virtual_functions(self) -> list[PciDevice]:
        """Its VFs."""
        return [PciDevice(link_name(link), self.root) for link in entries(self.folder, "virtfn*")]

    def neighbours(self) -> list[PciDevice]:
        """The other devices of its IOMMU group that a kernel driver uses: VFIO opens a group only as a whole."""
        group = self.iommu_group
        folder = self.root / "kernel/iommu_groups" / group / "devices"
        others = [PciDevice(path.name, self.root) for path in entries(folder)] if group else []
        return [other for other in others if other.address != self.address and other.driver not in _PASSIVE]

    @property
    def uio(self) -> list[str]:
        """The names of its UIO devices, as in "uio0"."""
        return [path.name for path in entries(self.folder / "uio", "uio*")]

    @property
    def nodes(self) -> list[str]:
        """The device files by which programs may have it open, as in "/dev/uio0" and "/dev/vfio/17"."""
        group = self.iommu_group
        return [f"/dev/{name}" for name in self.uio] + ([f"/dev/vfio/{group}"] if group else [])

    @property
    def node(self) -> str:
        """The device file by which a program opens it now, "" if its kernel driver offers none."""
        if self.driver == VFIO_DRIVER:
            return f"/dev/vfio/{self.iommu_group}"
        return f"/dev/{self.uio[0]}" if self.uio else ""

    def bar_size(self, index: int) -> int:
        """Bytes of the memory BAR `index`, 0 if it has none there. Raises DeviceError for I/O ports."""
        lines = self.text("resource").splitlines()
        if not 0 <= index < min(len(lines), 6):
            return 0
        start, end, flags = (int(word, 16) for word in lines[index].split())
        if flags & _IO:
            raise DeviceError(f"{self.address}: BAR{index} is of I/O ports, which this bus does not open")
        return end - start + 1 if flags & _MEMORY and end else 0

    def describe(self) -> str:
        """The device and its kernel driver, in words."""
        if not self.exists:
            return f"this machine has no PCI device {self.address}"
        vendor, identity = (self.text(name).removeprefix("0x") for name in ("vendor", "device"))
        bound = f"bound to the kernel's {self.driver}" if self.driver else "bound to no driver"
        return f"{self.address} is a {vendor}:{identity}, {bound}"
