# SPDX-License-Identifier: BSD-3-Clause
"""What VFIO and UIO have in common: mapped BARs, configuration space as part of a file, and VFs, which the kernel makes."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from dataplane.errors import DeviceError, DeviceGone, PortError
from dataplane.pmd import pci
from dataplane.pmd.bus.mmio import Window
from dataplane.pmd.function import Bar, ConfigSpace, Function
from dataplane.pmd.pci_device import PciDevice

__all__ = ["CardFunction", "FileConfig", "WindowBar", "no_access"]


class WindowBar(Bar):
    """A memory BAR, mapped by `window`. name: of the device, for errors."""

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
    """Configuration space at byte `base` of the open file `fd`, which the caller closes. name: of the device, for errors."""

    def __init__(self, name: str, fd: int, base: int = 0) -> None:
        self.name, self._fd, self._base = name, fd, base

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes at `offset`. Raises DeviceGone if the device is, DeviceError if this user may not read that far."""
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
        """Write `data` at byte `offset`. Raises DeviceGone."""
        try:
            os.pwrite(self._fd, data, self._base + offset)
        except OSError as error:
            raise DeviceGone(
                f"{self.name}: its configuration space cannot be written: {error.strerror}"
            ) from None


class CardFunction(Function):
    """A function of a card in this machine. VFs are the kernel's to make: they are requested in sysfs."""

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
        """The memory BAR `index`, mapped. Raises DeviceError if the device has none there."""
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
        """End DMA. Ignores errors of a device that is gone."""
        with suppress(DeviceError):
            self._command(off=pci.COMMAND_BUS_MASTER)

    @property
    def vfs(self) -> int:
        """How many virtual functions it has now."""
        return self.device.number("sriov_numvfs")

    def set_vfs(self, count: int) -> None:
        """Have the kernel make `count` VFs. Raises DeviceError if it refuses."""
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


def no_access(path: Path, error: OSError, missing: str) -> PortError:
    """The error for a device file that does not open. missing: the advice if the file does not exist."""
    if isinstance(error, PermissionError):
        return PortError(f"no access to {path}: 'sudo chown $USER {path}', or run as root")
    if isinstance(error, FileNotFoundError):
        return PortError(f"no {path}: {missing}")
    return PortError(f"{path}: {error.strerror}: another process may have the device")
