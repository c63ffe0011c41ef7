# SPDX-License-Identifier: BSD-3-Clause
"""Cards by their PCI address. The buses that open one (VFIO, UIO) register here; until then, what the machine has."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from dataplane.errors import PortError
from pmd.portstring import PortString

__all__ = ["describe", "open_function"]

SYSFS = Path("/sys/bus/pci/devices")


def open_function(spec: PortString) -> NoReturn:
    """Raises PortError: what is at that address, and that this version cannot open it."""
    address = spec.target if spec.target.count(":") == 2 else f"0000:{spec.target}"
    raise PortError(
        f"{spec.text}: real cards are opened through VFIO or UIO, and this version has neither bus yet; "
        f"{describe(address.lower())}. 'model0' is an 82599 in software"
    )


def describe(address: str) -> str:
    """What the machine has at a PCI address, in words."""
    device = SYSFS / address
    if not device.exists():
        return f"and this machine has no PCI device {address}"
    vendor, identity = (
        (device / name).read_text().strip().removeprefix("0x") for name in ("vendor", "device")
    )
    driver = device / "driver"
    bound = f"bound to the kernel's {driver.resolve().name}" if driver.exists() else "bound to no driver"
    return f"{address} is a {vendor}:{identity}, {bound}"
