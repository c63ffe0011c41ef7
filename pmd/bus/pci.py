# SPDX-License-Identifier: BSD-3-Clause
"""Cards by their PCI address: the kernel driver that has the device says which bus it is, VFIO or UIO."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dataplane.errors import PortError
from dataplane.pmd.bus.sysfs import SYSFS, PciDevice
from dataplane.pmd.portstring import PortString

if TYPE_CHECKING:
    from dataplane.pmd.bus.sysfs import CardFunction

__all__ = ["device_of", "open_function"]


def device_of(address: str) -> PciDevice:
    """The device at an address, whose domain may be left out."""
    full = address if address.count(":") == 2 else f"0000:{address}"
    return PciDevice(full.lower(), SYSFS)


def open_function(spec: PortString) -> CardFunction:
    """`dataplane.pmd.probe`'s way in. Raises PortError for what is not there, or in the hands of another driver."""
    from dataplane.pmd.bus import uio, vfio

    device = device_of(spec.target)
    if not device.exists:
        raise PortError(f"{spec.text}: {device.describe()}; 'dataplane ports' lists what there is")
    token = vfio.parse_token(spec.word("vf_token", ""), spec.text)
    if device.driver == vfio.DRIVER:
        return vfio.VfioFunction(device, token)
    if device.driver in uio.DRIVERS:
        return uio.UioFunction(device)
    raise PortError(
        f"{spec.text}: {device.describe()}: 'sudo dataplane bind {device.address}' gives it to vfio-pci, which "
        "lets programs drive it"
    )
