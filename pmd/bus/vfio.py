# SPDX-License-Identifier: BSD-3-Clause
"""Linux VFIO as a bus: the kernel's own IOMMU keeps the device to the arenas that are mapped, and the kernel resets it.

A *group* is what the IOMMU can tell from the rest: a process opens it whole. Each group has a container (an address space)
of its own, so that functions of different groups reach each other's memory no more than two machines do; functions of one
group share it, whatever we do. Option of a port string: ``vf_token=UUID``, which a PF on vfio-pci asks of those who open
its VFs.
"""

from __future__ import annotations

import errno
import os
import threading
import uuid
from contextlib import suppress
from pathlib import Path

from dataplane.errors import ConfigError, DeviceError, MemoryExhausted, PortError
from dataplane.files.sysfs import device_users
from dataplane.memory.hugepage import Arena
from dataplane.pmd import pci
from dataplane.pmd.bus import vfio_api as api
from dataplane.pmd.bus.card_function import CardFunction, FileConfig, no_access
from dataplane.pmd.bus.mmio import Window
from dataplane.pmd.pci_device import PciDevice

__all__ = ["Group", "VfioFunction", "join_group", "parse_token"]

DEV = Path("/dev/vfio")

_lock = threading.RLock()
_groups: dict[tuple[Path, str], Group] = {}


class Group:
    """An IOMMU group that this process has, with its container. `users` of it share the DMA map."""

    def __init__(self, device: PciDevice, dev: Path = DEV) -> None:
        self.number, self.users = device.iommu_group, 0
        self.opened: set[str] = set()  # addresses
        self._key = dev, self.number
        self._mapped: dict[int, tuple[list[tuple[int, int]], int]] = {}  # arena's IOVA -> pieces, users
        self._files: list[int] = []
        try:
            self.fd = self._open(dev / self.number, f"{device.address} is not with vfio-pci any more")
            self._check_viable(device)
            self.container = self._open(dev / "vfio", "'sudo modprobe vfio-pci'")
            self._join(device)
            self.ranges = api.iova_ranges(self.container)
        except BaseException:
            self._close_files()
            raise

    def _open(self, path: Path, missing: str) -> int:
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise no_access(path, error, missing) from None
        self._files.append(fd)
        return fd

    def _check_viable(self, device: PciDevice) -> None:
        if api.group_status(self.fd) & api.GROUP_VIABLE:
            return
        others = [f"{other.address} ({other.driver})" for other in device.neighbours()]
        raise PortError(
            f"{device.address}: kernel drivers have other devices of its IOMMU group {self.number}: {', '.join(others)}: "
            "bind them to vfio-pci too, or take them from their drivers"
        )

    def _join(self, device: PciDevice) -> None:
        if api.version(self.container) != api.VERSION or not api.check_extension(self.container, api.TYPE1V2):
            raise PortError(f"{device.address}: this kernel's VFIO has no type 1 IOMMU, version 2")
        try:
            api.group_join(self.fd, self.container)
            api.set_iommu(self.container, api.TYPE1V2)
        except PermissionError:
            raise PortError(
                f"{device.address}: this IOMMU does not remap interrupts, so VFIO refuses: if you trust the device, "
                "'echo 1 | sudo tee /sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts'"
            ) from None
        except OSError as error:
            raise PortError(
                f"{device.address}: its IOMMU group {self.number} gets no address space: {error.strerror}"
            ) from None

    def device(self, device: PciDevice, token: uuid.UUID | None) -> int:
        """A file descriptor of one of its devices. VFIO would give out a second one to the same process."""
        if device.address in self.opened:
            raise PortError(f"{device.address} is open in this process already: close that port first")
        name = device.address + (f" vf_token={token}" if token else "")
        try:
            fd = api.group_device(self.fd, name)
        except OSError as error:
            physical = device.physical_function
            if error.errno in (errno.EACCES, errno.EINVAL) and physical:
                raise PortError(
                    f"{device.address}: VFIO does not give this VF away ({error.strerror}): its PF {physical} is on "
                    "vfio-pci too, and both ask for the same word: write ,vf_token=UUID in both port strings, and open the "
                    "PF first"
                ) from None
            raise PortError(
                f"{device.address}: VFIO does not give it away: {error.strerror}: another process may have it"
            ) from None
        self.opened.add(device.address)
        return fd

    def map(self, arena: Arena) -> None:
        """Let DMA reach the arena; each user of the group says so for itself. Raises MemoryExhausted."""
        pieces, users = self._mapped.get(arena.iova, ([], 0))
        if not users:
            for iova, address, size in _pieces(arena):
                try:
                    self._check_range(arena, iova, size)
                    api.dma_map(self.container, address, iova, size)
                except OSError as error:
                    self._unmap(pieces)
                    raise self._refused(arena, error) from None
                except BaseException:
                    self._unmap(pieces)
                    raise
                pieces.append((iova, size))
        self._mapped[arena.iova] = pieces, users + 1

    def unmap(self, iova: int) -> None:
        """One user less; the last takes it from the IOMMU."""
        pieces, users = self._mapped.pop(iova)
        if users > 1:
            self._mapped[iova] = pieces, users - 1
        else:
            self._unmap(pieces)

    def _unmap(self, pieces: list[tuple[int, int]]) -> None:
        for iova, size in pieces:
            api.dma_unmap(self.container, iova, size)

    def _check_range(self, arena: Arena, iova: int, size: int) -> None:
        if self.ranges and not any(first <= iova and iova + size - 1 <= last for first, last in self.ranges):
            possible = ", ".join(f"{first:#x} to {last:#x}" for first, last in self.ranges)
            raise MemoryExhausted(
                f"{arena.name!r} at I/O address {iova:#x} is outside of what this IOMMU can address: {possible}"
            )

    def _refused(self, arena: Arena, error: OSError) -> MemoryExhausted:
        reason = (
            f"IOMMU group {self.number} cannot map {arena.name!r} ({arena.size >> 20} MiB): {error.strerror}"
        )
        if error.errno == errno.ENOMEM:
            return MemoryExhausted(
                f"{reason}: this process may not lock so much memory: 'ulimit -l unlimited', see 'dataplane doctor'"
            )
        return MemoryExhausted(reason)

    def leave(self) -> None:
        """A user less; the last closes it."""
        with _lock:
            self.users -= 1
            if not self.users:
                _groups.pop(self._key, None)
                self._close_files()

    def _close_files(self) -> None:
        # The group before the container: it leaves it by that.
        for fd in self._files:
            os.close(fd)
        self._files.clear()


def join_group(device: PciDevice, dev: Path = DEV) -> Group:
    """The group of a device, opened by the first of this process that wants it."""
    if not device.iommu_group:
        raise PortError(
            f"{device.address} has no IOMMU group: switch the IOMMU on (intel_iommu=on), or take uio_pci_generic: "
            f"'sudo dataplane bind --driver uio_pci_generic {device.address}'"
        )
    with _lock:
        key = dev, device.iommu_group
        if key not in _groups:
            _groups[key] = Group(device, dev)
        _groups[key].users += 1
        return _groups[key]


def _pieces(arena: Arena) -> list[tuple[int, int, int]]:
    """(IOVA, address, size) of what is mapped at once."""
    if arena.contiguous:
        return [(arena.iova, arena.address, arena.size)]
    page = arena.page_size
    return [(iova, arena.address + number * page, page) for number, iova in enumerate(arena.iova_table)]


class VfioFunction(CardFunction):
    """A function that vfio-pci has. token: the word between a PF on vfio-pci and its VFs."""

    def __init__(self, device: PciDevice, token: uuid.UUID | None = None, dev: Path = DEV) -> None:
        super().__init__(device)
        self.group = join_group(device, dev)
        self._arenas: set[int] = set()  # IOVAs
        self._eventfds: list[int] = []
        self._fd = -1
        try:
            # Opening a PF needs no token. A token given there becomes the one that its VFs require.
            self._fd = self.group.device(device, token if device.physical_function else None)
            if token and not device.physical_function:
                self._set_token(token)
            _, _, at = api.region(self._fd, api.CONFIG_REGION)
            self.config = FileConfig(self.name, self._fd, at)
            self._command(on=pci.COMMAND_MEMORY)
        except BaseException:
            self._close_files()
            raise

    def _set_token(self, token: uuid.UUID) -> None:
        try:
            api.set_vf_token(self._fd, token)
        except OSError as error:
            raise DeviceError(
                f"{self.name}: vf_token= means nothing here ({error.strerror}): the kernel is older than 5.7, or it is no PF"
            ) from None

    def _map(self, index: int) -> Window:
        flags, size, offset = api.region(self._fd, index)
        if not flags & api.REGION_MMAP:
            raise DeviceError(f"{self.name}: VFIO does not let BAR{index} be mapped")
        return Window(self._fd, offset, size, self.name)

    def dma_map(self, arena: Arena) -> None:
        """Let the device reach the whole arena, at the arena's own IOVA."""
        with _lock:
            if arena.iova not in self._arenas:
                self.group.map(arena)
                self._arenas.add(arena.iova)

    def dma_unmap(self, arena: Arena) -> None:
        """Take the arena away: from here on the IOMMU blocks and reports what the device tries there."""
        with _lock:
            if arena.iova in self._arenas:
                self._arenas.remove(arena.iova)
                self.group.unmap(arena.iova)

    def reset(self) -> None:
        """Function level reset; the kernel puts configuration space back."""
        try:
            api.reset(self._fd)
        except OSError as error:
            raise DeviceError(
                f"{self.name}: the kernel cannot reset it ({error.strerror}): bind it again"
            ) from None

    @property
    def vectors(self) -> int:
        """The MSI-X vectors."""
        return api.irq_count(self._fd, api.IRQ_MSIX)

    def interrupt(self, vector: int, eventfd: int | None) -> None:
        """Signal `eventfd` when the vector fires; None: stop. Interrupts that fire while the set changes may be lost."""
        if not 0 <= vector < self.vectors:
            raise DeviceError(f"{self.name}: no interrupt vector {vector} (it has {self.vectors})")
        wanted = self._eventfds + [-1] * (vector + 1 - len(self._eventfds))
        wanted[vector] = -1 if eventfd is None else eventfd
        while wanted and wanted[-1] == -1:
            wanted.pop()
        # Older kernels (below 6.5) cannot make the set of vectors larger while it is on.
        if self._eventfds and len(wanted) != len(self._eventfds):
            api.set_irqs(self._fd, api.IRQ_MSIX, [])
        if wanted:
            api.set_irqs(self._fd, api.IRQ_MSIX, wanted)
        self._eventfds = wanted

    def set_vfs(self, count: int) -> None:
        """Have the kernel make `count` VFs. Raises DeviceError if it refuses, or a process has a VF open (it would wait)."""
        for vf in self.device.virtual_functions() if count != self.vfs else ():
            for process, _ in device_users([DEV / vf.iommu_group]):
                raise DeviceError(
                    f"{self.name} keeps its VFs: process {process} has {vf.address} open, end it first"
                )
        super().set_vfs(count)

    def _why_no_vfs(self) -> str:
        return "enable them in vfio-pci: 'echo 1 | sudo tee /sys/module/vfio_pci/parameters/enable_sriov'"

    def close(self) -> None:
        """End DMA and remove the map. The kernel resets the function once no process has it open."""
        if self._fd < 0:
            return
        self._quieten()
        self._unmap()
        if self._eventfds:
            with suppress(OSError):
                api.set_irqs(self._fd, api.IRQ_MSIX, [])
        with _lock:
            for iova in self._arenas:
                self.group.unmap(iova)
            self._arenas.clear()
        self._close_files()

    def _close_files(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            self.group.opened.discard(self.name)
        self.group.leave()


def parse_token(text: str, where: str) -> uuid.UUID | None:
    """A port string's ``vf_token``."""
    try:
        return uuid.UUID(text) if text else None
    except ValueError:
        raise ConfigError(f"{where}: vf_token={text}: expected a UUID, as 'uuidgen' makes it") from None
