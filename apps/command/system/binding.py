# SPDX-License-Identifier: BSD-3-Clause
"""Which kernel driver has a card: taking it from one and giving it to another, and the reasons not to.

``driver_override`` names the driver for one device alone: no identifier is added to a driver, which would take others too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from dataplane.apps.command.system.host import Host
from dataplane.errors import PortError

__all__ = ["DRIVERS", "UIO_DRIVERS", "Binder", "addresses", "neighbours"]

UIO_DRIVERS = ("uio_pci_generic", "igb_uio")
DRIVERS = ("vfio-pci", *UIO_DRIVERS)
_PCI = "/sys/bus/pci"
_NETWORK = 0x02  # class of network controllers


class Binder:
    """Binds the devices of a machine."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def bind(self, address: str, driver: str, force: bool = False) -> str:
        """Give a device to `driver`; what was done, in a line. Raises PortError, with the next step."""
        device = self._device(address)
        before = self.host.link_name(f"{device}/driver")
        if before == driver:
            return f"{address} is already bound to {driver}"
        self._check_driver(device, address, driver)
        self._check_use(address, force)
        self._give(device, driver)
        after = self.host.link_name(f"{device}/driver")
        if after != driver:
            self._give(device, "")
            raise PortError(
                f"{address}: {driver} refused it (see 'sudo dmesg | tail'); it is bound again to "
                f"{self.host.link_name(f'{device}/driver') or 'no driver'}"
            )
        return f"{address}: from {before or 'no driver'} to {driver}; to undo it: sudo dataplane unbind {address}"

    def unbind(self, address: str, force: bool = False) -> str:
        """Give a device back to the driver that the kernel chooses for it; what was done, in a line. Raises PortError."""
        device = self._device(address)
        before = self.host.link_name(f"{device}/driver")
        if before and before not in DRIVERS:
            return f"{address} is bound to the kernel's {before}: nothing to undo"
        self._check_use(address, force)
        self._give(device, "")
        after = self.host.link_name(f"{device}/driver")
        if after:
            return f"{address}: from {before or 'no driver'} to {after}"
        return (
            f"{address}: from {before or 'no driver'} to no driver: no loaded driver supports it ('sudo modprobe ixgbe', "
            "or ixgbevf for a VF)"
        )

    def _device(self, address: str) -> str:
        """The folder of a PCI device in sysfs. Raises PortError if it does not exist or is not a network card."""
        device = f"{_PCI}/devices/{address}"
        if not self.host.path(device).exists():
            raise PortError(f"this machine has no PCI device {address}: 'dataplane ports' lists its 82599s")
        kind = self.host.read(f"{device}/class")
        if kind and int(kind, 16) >> 16 != _NETWORK:
            raise PortError(f"{address} is not a network card (class {kind})")
        return device

    def _check_driver(self, device: str, address: str, driver: str) -> None:
        if not self.host.path(f"{_PCI}/drivers/{driver}").exists():
            raise PortError(f"{driver} is not loaded: 'sudo modprobe {driver}'")
        if driver == "vfio-pci" and not self.host.path(f"{device}/iommu_group").exists():
            raise PortError(
                f"{address} has no IOMMU group, and vfio-pci needs one: enable the IOMMU ('dataplane doctor' prints how), "
                f"or use UIO: 'sudo dataplane bind --driver uio_pci_generic {address}'"
            )

    def _check_use(self, address: str, force: bool) -> None:
        reasons = list(self.uses(address))
        if reasons and not force:
            raise PortError(f"{address} is in use: {'; '.join(reasons)}. End that first, or use --force")

    def uses(self, address: str) -> Iterator[str]:
        """Why it should be left alone: who uses it, in words."""
        device = f"{_PCI}/devices/{address}"
        folder = self.host.path(f"{device}/net")
        for face in sorted(path.name for path in folder.iterdir()) if folder.is_dir() else ():
            default, others = self._routes(face)
            if default:
                yield f"the default route goes through {face}"
            elif others:
                yield f"{face} has routes ({', '.join(others)})"
            own = self.host.path(f"{device}/net/{face}")
            if (own / "master").exists():
                yield f"{face} belongs to {self.host.link_name(f'{device}/net/{face}/master')}"
            for upper in sorted(own.glob("upper_*")):
                yield f"{upper.name.removeprefix('upper_')} is on top of {face}"
        if vfs := self.host.number(f"{device}/sriov_numvfs"):
            yield f"it has {vfs} VFs, which end with its driver"
        for process, node in self._holders(device):
            yield f"process {process} has {node} open"

    def _routes(self, face: str) -> tuple[bool, list[str]]:
        """Whether a default route goes through an interface, and the other routes that do."""
        default, others = False, []
        for line in self.host.read("/proc/net/route").splitlines()[1:]:
            words = line.split()
            if words[0] == face:
                target, mask = int(words[1], 16), int(words[7], 16)
                default = default or not mask
                address = ".".join(str(target >> shift & 255) for shift in (0, 8, 16, 24))
                others.append(f"{address}/{mask.bit_count()}")
        for line in self.host.read("/proc/net/ipv6_route").splitlines():
            words = line.split()
            # Link-local and multicast routes (every interface that is up has them) and rejecting routes do not count.
            if words[-1] != face or words[0].startswith(("fe80", "ff00")) or int(words[8], 16) & 0x200:
                continue
            default = default or words[1] == "00"
            others.append(f"{':'.join(re.findall('....', words[0]))}/{int(words[1], 16)}")
        return default, others

    def _holders(self, device: str) -> Iterator[tuple[int, str]]:
        """(process, node) of who has the device open through VFIO or UIO: taking it away would wait for them."""
        nodes = [f"/dev/{path.name}" for path in self.host.path(f"{device}/uio").glob("uio*")]
        if group := self.host.link_name(f"{device}/iommu_group"):
            nodes.append(f"/dev/vfio/{group}")
        for folder in self.host.path("/proc").glob("[0-9]*/fd"):
            try:
                targets = {str(file.readlink()) for file in folder.iterdir()}
            except OSError:
                continue  # it ended, or belongs to another user
            for node in nodes:
                if node in targets:
                    yield int(folder.parent.name), node

    def _give(self, device: str, driver: str) -> None:
        """Take it from its driver, then let the kernel look for one: `driver`, or its own choice for ""."""
        address = device.rpartition("/")[2]
        try:
            self.host.write(f"{device}/driver_override", f"{driver}\n")
            if self.host.path(f"{device}/driver").exists():
                self.host.write(f"{device}/driver/unbind", address)
            self.host.write(f"{_PCI}/drivers_probe", address)
        except PermissionError as error:
            raise PortError(f"{address}: no right to write {error.filename}: run as root (sudo)") from None


def addresses(words: list[str]) -> list[str]:
    """PCI addresses as sysfs writes them; the domain may be left out."""
    found = []
    for word in words:
        full = (word if word.count(":") == 2 else f"0000:{word}").lower()
        if not re.fullmatch(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]", full):
            raise PortError(f"{word!r}: expected a PCI address, as in 0000:03:00.0")
        found.append(full)
    return found


def neighbours(host: Host, address: str) -> list[str]:
    """Others of its IOMMU group that a kernel driver has: VFIO gives the group away only whole."""
    group = host.link_name(f"{_PCI}/devices/{address}/iommu_group")
    folder = host.path(f"/sys/kernel/iommu_groups/{group}/devices")
    if not group or not folder.is_dir():
        return []
    free = ("", "vfio-pci", "pci-stub", "pcieport")
    return [
        path.name
        for path in sorted(folder.iterdir())
        if path.name != address and host.link_name(f"{_PCI}/devices/{path.name}/driver") not in free
    ]
