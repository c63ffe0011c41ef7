# SPDX-License-Identifier: BSD-3-Clause
"""Cards by their PCI address: the kernel driver that has the device says which bus it is, VFIO or UIO."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dataplane.errors import PortError
from dataplane.pmd.pci_device import SYSFS, UIO_DRIVERS, VFIO_DRIVER, PciDevice, full_address
from dataplane.pmd.portstring import PortString

if TYPE_CHECKING:
    from dataplane.pmd.bus.card_function import CardFunction

__all__ = ["device_of", "open_function"]


def device_of(address: str) -> PciDevice:
    """The device at a PCI address, whose domain may be left out."""
    return PciDevice(full_address(address), SYSFS)


def open_function(spec: PortString) -> CardFunction:
    """Open the function that a port string names. Raises PortError if it does not exist or has another kernel driver."""
    from dataplane.pmd.bus import uio, vfio

    device = device_of(spec.target)
    if not device.exists:
        raise PortError(f"{spec.text}: {device.describe()}; 'dataplane ports' lists what there is")
    token = vfio.parse_token(spec.word("vf_token", ""), spec.text)
    if device.driver == VFIO_DRIVER:
        return vfio.VfioFunction(device, token)
    if device.driver in UIO_DRIVERS:
        return uio.UioFunction(device)
    raise PortError(
        f"{spec.text}: {device.describe()}: 'sudo dataplane bind {device.address}' gives it to vfio-pci, which "
        "lets programs drive it"
    )
