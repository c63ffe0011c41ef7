# SPDX-License-Identifier: BSD-3-Clause
"""UIO and sysfs as a bus: for machines without an IOMMU. BARs are the files resource0..5, an IOVA is a physical address.

Nothing keeps the device from memory that is not its own: the driver's mistakes hit the whole machine. Where there is an
IOMMU, vfio-pci is the better way. There are no interrupts: uio_pci_generic has the INTx line only.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from dataplane.errors import DeviceError, MemoryExhausted, PortError
from dataplane.files.sysfs import read_text
from dataplane.memory.hugepage import Arena, drop_physical, hold_physical
from dataplane.pmd import pci
from dataplane.pmd.bus.card_function import CardFunction, FileConfig, no_access
from dataplane.pmd.bus.mmio import Window
from dataplane.pmd.pci_device import PciDevice

__all__ = ["UioFunction"]

DEV = Path("/dev")


class UioFunction(CardFunction):
    """A function that uio_pci_generic (or igb_uio) has. While one is open, new arenas have physical addresses."""

    def __init__(self, device: PciDevice, dev: Path = DEV) -> None:
        super().__init__(device)
        self._closed = True
        self._files: list[int] = []
        self._check_iommu()
        try:
            self._take(dev)
            config = os.open(device.folder / "config", os.O_RDWR | os.O_CLOEXEC)
            self._files.append(config)
        except PermissionError as error:
            self._close_files()
            raise no_access(Path(error.filename), error, "") from None
        except BaseException:
            self._close_files()
            raise
        self.config = FileConfig(self.name, config)
        hold_physical()
        self._closed = False
        self._command(on=pci.COMMAND_MEMORY)

    def _check_iommu(self) -> None:
        group = self.device.iommu_group
        # Kernels before 5.11 do not say the type.
        kind = read_text(self.device.root / "kernel/iommu_groups" / group / "type", "unknown")
        if group and kind not in ("identity", "unknown"):
            raise PortError(
                f"{self.name}: the IOMMU translates its addresses, and UIO cannot tell it ours: "
                f"'sudo dataplane bind {self.name}' gives it to vfio-pci; or start Linux with iommu=pt"
            )

    def _take(self, dev: Path) -> None:
        """The node /dev/uioN is held for as long as the function is open: its end switches DMA off, however we end."""
        names = self.device.uio
        if not names:
            raise PortError(f"{self.name}: {self.device.driver} has made no uio device of it: bind it again")
        node = dev / names[0]
        try:
            fd = os.open(node, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise no_access(node, error, "is /dev of this machine mounted here?") from None
        self._files.append(fd)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise PortError(f"{self.name} is in use: another process has {node}") from None

    def _map(self, index: int) -> Window:
        path = self.device.folder / f"resource{index}"
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise no_access(path, error, f"{self.name} has no BAR{index}") from None
        try:
            return Window(fd, 0, self.device.bar_size(index), self.name)
        finally:
            os.close(fd)

    def dma_map(self, arena: Arena) -> None:
        """There is no map: the device reaches all memory. Raises MemoryExhausted for an arena without physical addresses."""
        if not arena.physical:
            raise MemoryExhausted(
                f"{self.name}: {arena.name!r} was made before this port was opened and has no physical addresses: open "
                "ports on UIO before anything that makes mempools"
            )

    def dma_unmap(self, arena: Arena) -> None:
        """There is no map."""

    def reset(self) -> None:
        """Function level reset, by the kernel, which puts configuration space back."""
        path = self.device.folder / "reset"
        try:
            path.write_text("1")
        except OSError as error:
            raise DeviceError(
                f"{self.name}: the kernel cannot reset it ({error.strerror}): bind it again"
            ) from None

    def _why_no_vfs(self) -> str:
        return (
            f"{self.device.driver} does not make VFs: give the PF to vfio-pci, with "
            "'sudo modprobe vfio-pci enable_sriov=1'"
        )

    def close(self) -> None:
        """DMA ends, the mapping goes."""
        if self._closed:
            return
        self._closed = True
        self._quieten()
        self._unmap()
        self._close_files()
        drop_physical()

    def _close_files(self) -> None:
        for fd in reversed(self._files):
            os.close(fd)
        self._files.clear()
