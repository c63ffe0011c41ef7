# SPDX-License-Identifier: BSD-3-Clause
"""PCI devices as Linux shows them in sysfs, and what VFIO and UIO have in common: BARs, configuration space, VFs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dataplane.errors import DeviceError, DeviceGone, PortError
from dataplane.pmd import pci
from dataplane.pmd.bus.mmio import Window
from dataplane.pmd.function import Bar, ConfigSpace, Function

__all__ = ["SYSFS", "CardFunction", "FileConfig", "PciDevice", "WindowBar", "holders", "no_access"]

SYSFS = Path("/sys")
_MEMORY, _IO = 0x200, 0x100  # resource flags


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
        """Whether the device is there."""
        return self.folder.exists()

    def text(self, name: str, default: str = "") -> str:
        """The text of a file of the device; `default` if it cannot be read."""
        try:
            return (self.folder / name).read_text().strip()
        except OSError:
            return default

    def number(self, name: str) -> int:
        """The number in a file, decimal or 0x...; 0 if the file has no number."""
        text = self.text(name)
        return int(text, 0) if re.fullmatch(r"(0x[0-9a-f]+|\d+)", text) else 0

    @property
    def driver(self) -> str:
        """The kernel driver that has it, "" if none."""
        link = self.folder / "driver"
        return link.resolve().name if link.exists() else ""

    @property
    def iommu_group(self) -> str:
        """The number of its IOMMU group, "" without an IOMMU."""
        link = self.folder / "iommu_group"
        return link.resolve().name if link.exists() else ""

    @property
    def physical_function(self) -> str:
        """The address of the PF whose VF it is, "" if it is none."""
        link = self.folder / "physfn"
        return link.resolve().name if link.exists() else ""

    def virtual_functions(self) -> list[PciDevice]:
        """The VFs that it has now."""
        return [PciDevice(link.resolve().name, self.root) for link in sorted(self.folder.glob("virtfn*"))]

    def neighbours(self) -> list[PciDevice]:
        """The devices of its IOMMU group, itself among them: one process has them all or none."""
        folder = self.root / "kernel/iommu_groups" / self.iommu_group / "devices"
        if not self.iommu_group or not folder.is_dir():
            return [self]
        return [PciDevice(path.name, self.root) for path in sorted(folder.iterdir())]

    def bar_size(self, index: int) -> int:
        """Bytes of a memory BAR, 0 if it has none there. Raises DeviceError for I/O ports."""
        lines = self.text("resource").splitlines()
        if not 0 <= index < min(len(lines), 6):
            return 0
        start, end, flags = (int(word, 16) for word in lines[index].split())
        if flags & _IO:
            raise DeviceError(f"{self.address}: BAR{index} is of I/O ports, which this bus does not open")
        return end - start + 1 if flags & _MEMORY and end else 0

    def describe(self) -> str:
        """Vendor, device and driver, for messages."""
        if not self.exists:
            return f"this machine has no PCI device {self.address}"
        vendor, identity = (self.text(name).removeprefix("0x") for name in ("vendor", "device"))
        bound = f"bound to the kernel's {self.driver}" if self.driver else "bound to no driver"
        return f"{self.address} is a {vendor}:{identity}, {bound}"


class WindowBar(Bar):
    """A memory BAR that is mapped."""

    def __init__(self, name: str, window: Window) -> None:
        self.name, self.window = name, window

    def read32(self, offset: int) -> int:
        """The register at a byte offset."""
        return self.window.read32(offset)

    def write32(self, offset: int, value: int) -> None:
        """Write the register at a byte offset."""
        self.window.write32(offset, value)

    def read8(self, offset: int) -> int:
        """The byte at an offset."""
        return self.window.read8(offset)

    def read16(self, offset: int) -> int:
        """The 16-bit register at a byte offset, a multiple of 2."""
        return self.window.read16(offset)

    def read64(self, offset: int) -> int:
        """The 64-bit register at a byte offset, a multiple of 8."""
        return self.window.read64(offset)

    def write8(self, offset: int, value: int) -> None:
        """Write the byte at an offset."""
        self.window.write8(offset, value)

    def write16(self, offset: int, value: int) -> None:
        """Write the 16-bit register at a byte offset."""
        self.window.write16(offset, value)

    def write64(self, offset: int, value: int) -> None:
        """Write the 64-bit register at a byte offset."""
        self.window.write64(offset, value)

    def address(self, offset: int) -> int:
        """The host address of a register."""
        return self.window.address(offset)


class FileConfig(ConfigSpace):
    """Configuration space at `base` of an open file, which the caller closes."""

    def __init__(self, name: str, fd: int, base: int = 0) -> None:
        self.name, self._fd, self._base = name, fd, base

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes. DeviceGone if the device is; DeviceError if this user may not read that far."""
        try:
            data = os.pread(self._fd, length, self._base + offset)
        except OSError as error:
            raise DeviceGone(
                f"{self.name}: its configuration space cannot be read: {error.strerror}"
            ) from None
        if len(data) < length:
            raise DeviceError(
                f"{self.name}: only root (CAP_SYS_ADMIN) may read its configuration space at {offset:#x}: run as root"
            )
        return data

    def write(self, offset: int, data: bytes) -> None:
        """Write bytes."""
        try:
            os.pwrite(self._fd, data, self._base + offset)
        except OSError as error:
            raise DeviceGone(
                f"{self.name}: its configuration space cannot be written: {error.strerror}"
            ) from None


class CardFunction(Function):
    """A function of a real card. Requests that only the kernel may carry out, such as SR-IOV, go through sysfs."""

    def __init__(self, device: PciDevice) -> None:
        self.device, self.name = device, device.address
        self._windows: dict[int, WindowBar] = {}

    # A VF's configuration space has 0xFFFF for both (SR-IOV 1.1, 3.4.1): the kernel knows them from the PF's capability.
    @property
    def vendor_id(self) -> int:
        """The PCI vendor ID."""
        return self.device.number("vendor")

    @property
    def device_id(self) -> int:
        return self.device.number("device")

    @property
    def revision(self) -> int:
        """The PCI revision."""
        return self.device.number("revision")

    def bar(self, index: int) -> Bar:
        """A memory BAR, mapped."""
        if index not in self._windows:
            if not self.device.bar_size(index):
                raise DeviceError(f"{self.name} has no BAR{index}")
            self._windows[index] = WindowBar(self.name, self._map(index))
            self._windows[index].config = self.config
        return self._windows[index]

    def _map(self, index: int) -> Window:
        raise NotImplementedError

    def _unmap(self) -> None:
        for bar in self._windows.values():
            bar.window.close()

    def _command(self, *, on: int = 0, off: int = 0) -> None:
        """Change bits of the command register."""
        command = self.config.read16(pci.COMMAND)
        self.config.write16(pci.COMMAND, (command | on) & ~off)

    def _quieten(self) -> None:
        """No DMA any more. No error of a device that is gone."""
        with suppress(DeviceError):
            self._command(off=pci.COMMAND_BUS_MASTER)

    @property
    def vfs(self) -> int:
        """How many virtual functions it has now."""
        return self.device.number("sriov_numvfs")

    def set_vfs(self, count: int) -> None:
        """Have the kernel make `count` VFs. DeviceError if it will not."""
        if count == self.vfs:
            return
        file = self.device.folder / "sriov_numvfs"
        if not file.exists():
            raise DeviceError(
                f"{self.name} has no SR-IOV: switch it on in the machine's firmware set-up; a VF has none"
            )
        most = self.device.number("sriov_totalvfs")
        if count > most:
            raise DeviceError(f"{self.name} can have {most} VFs, not {count}")
        try:
            if count and self.vfs:
                file.write_text("0")
            file.write_text(str(count))
        except OSError as error:
            raise DeviceError(
                f"{self.name}: the kernel makes no {count} VFs ({error.strerror}): {self._why_no_vfs()}"
            ) from None

    def _why_no_vfs(self) -> str:
        return f"its driver {self.device.driver} may not be able to; vfio-pci with enable_sriov=1 is"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


def holders(node: Path) -> Iterator[int]:
    """The processes that have a device file open, as far as this user may see."""
    for folder in Path("/proc").glob("[0-9]*/fd"):
        try:
            found = any(str(file.readlink()) == str(node) for file in folder.iterdir())
        except OSError:
            continue  # it ended, or is another user's
        if found:
            yield int(folder.parent.name)


def no_access(path: Path, error: OSError, held: str) -> PortError:
    """Why a device file does not open, and what to do."""
    if isinstance(error, PermissionError):
        return PortError(f"no access to {path}: 'sudo chown $USER {path}', or run as root")
    if isinstance(error, FileNotFoundError):
        return PortError(f"no {path}: {held}")
    return PortError(f"{path}: {error.strerror}: another process may have the device")
