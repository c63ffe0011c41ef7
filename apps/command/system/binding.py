# SPDX-License-Identifier: BSD-3-Clause
"""Which kernel driver has a card: taking it from one and giving it to another, and the reasons not to.

``driver_override`` names the driver for one device alone: no identifier is added to a driver, which would take others too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from dataplane.apps.command.system.host import Host
from dataplane.errors import PortError
from dataplane.files.sysfs import device_users, entries, link_name
from dataplane.pmd.pci_device import UIO_DRIVERS, VFIO_DRIVER, PciDevice, full_address

__all__ = ["DRIVERS", "Binder", "addresses", "neighbours"]

DRIVERS = (VFIO_DRIVER, *UIO_DRIVERS)
_PCI = "/sys/bus/pci"
_NETWORK = 0x02  # class of network controllers


class Binder:
    """Gives the PCI devices of a machine to kernel drivers. host: the machine."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def bind(self, address: str, driver: str, force: bool = False) -> str:
        """Give the device at `address` to `driver`. force: also if it is in use. Returns a line that says what was done.

        Raises PortError, with the next step.
        """
        device = self._device(address)
        before = device.driver
        if before == driver:
            return f"{address} is already bound to {driver}"
        self._check_driver(device, driver)
        self._check_use(address, force)
        self._give(device, driver)
        after = device.driver
        if after != driver:
            self._give(device, "")
            raise PortError(
                f"{address}: {driver} refused it (see 'sudo dmesg | tail'); it is bound again to "
                f"{device.driver or 'no driver'}"
            )
        return f"{address}: from {before or 'no driver'} to {driver}; to undo it: sudo dataplane unbind {address}"

    def unbind(self, address: str, force: bool = False) -> str:
        """Give the device at `address` to the driver that the kernel chooses. force: also if it is in use.

        Returns a line that says what was done. Raises PortError.
        """
        device = self._device(address)
        before = device.driver
        if before and before not in DRIVERS:
            return f"{address} is bound to the kernel's {before}: nothing to undo"
        self._check_use(address, force)
        self._give(device, "")
        after = device.driver
        if after:
            return f"{address}: from {before or 'no driver'} to {after}"
        return (
            f"{address}: from {before or 'no driver'} to no driver: no loaded driver supports it ('sudo modprobe ixgbe', "
            "or ixgbevf for a VF)"
        )

    def _device(self, address: str) -> PciDevice:
        """The PCI device at `address`. Raises PortError if it does not exist or is not a network card."""
        device = self.host.device(address)
        if not device.exists:
            raise PortError(f"this machine has no PCI device {address}: 'dataplane ports' lists its 82599s")
        kind = device.number("class")
        if kind and kind >> 16 != _NETWORK:
            raise PortError(f"{address} is not a network card (class {kind:#08x})")
        return device

    def _check_driver(self, device: PciDevice, driver: str) -> None:
        if not self.host.path(f"{_PCI}/drivers/{driver}").exists():
            raise PortError(f"{driver} is not loaded: 'sudo modprobe {driver}'")
        if driver == VFIO_DRIVER and not device.iommu_group:
            raise PortError(
                f"{device.address} has no IOMMU group, and vfio-pci needs one: enable the IOMMU ('dataplane doctor' prints "
                f"how), or use UIO: 'sudo dataplane bind --driver uio_pci_generic {device.address}'"
            )

    def _check_use(self, address: str, force: bool) -> None:
        reasons = list(self.uses(address))
        if reasons and not force:
            raise PortError(f"{address} is in use: {'; '.join(reasons)}. End that first, or use --force")

    def uses(self, address: str) -> Iterator[str]:
        """Who uses the device at `address`, in words: the reasons to leave it alone."""
        device = self.host.device(address)
        for face in device.interfaces:
            default, others = self._routes(face)
            if default:
                yield f"the default route goes through {face}"
            elif others:
                yield f"{face} has routes ({', '.join(others)})"
            own = device.folder / "net" / face
            if master := link_name(own / "master"):
                yield f"{face} belongs to {master}"
            for upper in entries(own, "upper_*"):
                yield f"{upper.name.removeprefix('upper_')} is on top of {face}"
        if vfs := device.number("sriov_numvfs"):
            yield f"it has {vfs} VFs, which end with its driver"
        # The kernel would wait until these have closed it.
        for process, node in device_users(device.nodes, self.host.path("/proc")):
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

    def _give(self, device: PciDevice, driver: str) -> None:
        """Take the device from its driver, then let the kernel choose one: `driver`, or its own choice if that is ""."""
        address = device.address
        folder = f"{_PCI}/devices/{address}"
        try:
            self.host.write(f"{folder}/driver_override", f"{driver}\n")
            if device.driver:
                self.host.write(f"{folder}/driver/unbind", address)
            self.host.write(f"{_PCI}/drivers_probe", address)
        except PermissionError as error:
            raise PortError(f"{address}: no right to write {error.filename}: run as root (sudo)") from None


def addresses(words: list[str]) -> list[str]:
    """PCI addresses as sysfs writes them; `words` may leave out the domain. Raises PortError for what is not an address."""
    found = []
    for word in words:
        full = full_address(word)
        if not re.fullmatch(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]", full):
            raise PortError(f"{word!r}: expected a PCI address, as in 0000:03:00.0")
        found.append(full)
    return found


def neighbours(host: Host, address: str) -> list[str]:
    """The addresses of other devices in its IOMMU group that a kernel driver uses: VFIO opens a group only as a whole."""
    return [other.address for other in host.device(address).neighbours()]
