# SPDX-License-Identifier: BSD-3-Clause
"""`probe("model0")`, `probe("null:")`, `probe("pcap:in.pcap,loop=1")`: from a port string to a port.

A port string is ``scheme:target`` or a NIC's name, with ``,key=value`` behind it. A *port opener* makes a port of it
at once; a *bus opener* makes a `dataplane.pmd.function.Function`, and `probe` joins it to the driver of that device: bus
and driver never meet. Both are named in tables as ``"module:function"``, so that nothing is imported before it is asked for;
`register_port`, `register_bus` and `register_driver` add to them from out of the tree.

- `bus/`: buses: ways to reach a PCI function
- `ixgbe/`: the driver of the 82599
- `datasheet/`: the 82599 as data
- `model/`: the 82599 in software
- `virtual/`: null, ring, pcap, tap and af_packet ports
- `vfio_user/`: the messages of a served NIC
- `foreign/`: the model for other people's userspace drivers
- `function`: a PCI function as a driver sees it; a bus implements it
- `register`: the language in which registers are written down
- `pci`: configuration space of any PCI function
- `pci_device`: a PCI device as sysfs shows it
- `portstring`: reads port strings
"""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from dataplane.errors import ConfigError, DeviceError
from dataplane.pmd.portstring import PortString

if TYPE_CHECKING:
    from dataplane.pmd.function import Function
    from dataplane.port import Port

__all__ = ["PortString", "forms", "probe", "register_bus", "register_driver", "register_port"]

if __name__ == "pmd":
    from dataplane.checkout import alias

    alias(__name__)

Opener = str | Callable[..., Any]

# scheme -> opener(PortString) -> Port, and what a target looks like
_ports: dict[str, tuple[Opener, str]] = {
    "null": ("dataplane.pmd.virtual.null:open_port", "null:"),
    "ring": ("dataplane.pmd.virtual.ring:open_port", "ring:NAME"),
    "pcap": ("dataplane.pmd.virtual.pcap:open_port", "pcap:FILE"),
    "tap": ("dataplane.pmd.virtual.tap:open_port", "tap:NAME"),
    "af_packet": ("dataplane.pmd.virtual.af_packet:open_port", "af_packet:INTERFACE"),
}
# bus -> opener(PortString) -> Function, the names it answers to, and what they look like
_buses: dict[str, tuple[Opener, str, str]] = {
    "model": ("dataplane.pmd.bus.model:open_function", r"model\d+(\.vf\d+)?", "model0"),
    "pci": (
        "dataplane.pmd.bus.pci:open_function",
        r"([0-9A-Fa-f]{4,8}:)?[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-7]",
        "0000:03:00.0",
    ),
    "vfio-user": ("dataplane.pmd.bus.vfio_user:open_function", r"vfio-user:.+", "vfio-user:SOCKET"),
}
# (vendor, device) -> driver(Function, PortString) -> Port
_drivers: dict[tuple[int, int], Opener] = {}


def probe(text: str) -> Port:
    """Open the port that a port string names.

    Raises ConfigError for a string that is none (the message lists what can be said), PortError for a port that is
    not there, not allowed, or does not come up.
    """
    for opener, pattern, _ in _buses.values():
        name, _, options = text.partition(",")
        if re.fullmatch(pattern, name):
            spec = PortString.split_options(text, "", name, f",{options}" if options else "")
            return _join(_load(opener)(spec), spec)
    scheme, colon, rest = text.partition(":")
    if colon and scheme in _ports:
        port: Port = _load(_ports[scheme][0])(PortString.parse(text, scheme, rest))
        return port
    raise ConfigError(
        f"{text!r} is no port: write one of {', '.join(forms())}, with ,key=value for its options"
    )


def forms() -> list[str]:
    """An example of each kind of port string that can be said here."""
    return [example for _, _, example in _buses.values()] + [example for _, example in _ports.values()]


def register_port(scheme: str, opener: Opener, example: str = "") -> None:
    """``scheme:...`` is opened by ``opener(PortString) -> Port`` (or "module:function") from now on."""
    if not re.fullmatch(r"[a-z][a-z0-9_+-]*", scheme):
        raise ConfigError(
            f"scheme {scheme!r}: must be a lower-case letter, then lower-case letters, digits, _, + or -"
        )
    _ports[scheme] = opener, example or f"{scheme}:"


def register_bus(name: str, opener: Opener, pattern: str, example: str) -> None:
    """Names that match ``pattern`` are opened by ``opener(PortString) -> Function`` and joined to their driver."""
    _buses[name] = opener, pattern, example


def register_driver(vendor: int, device: int, driver: Opener) -> None:
    """A PCI device is driven by ``driver(Function, PortString) -> Port``."""
    _drivers[vendor, device] = driver


def _join(function: Function, spec: PortString) -> Port:
    """The driver of that device, told to bring it up. The function is closed again if that fails."""
    try:
        identity = function.vendor_id, function.device_id
        if identity not in _drivers:
            _register_own_drivers()
        if identity not in _drivers:
            raise DeviceError(
                f"{function.name} is a {identity[0]:04x}:{identity[1]:04x}: there is no driver for it. Known are "
                f"{', '.join(f'{vendor:04x}:{device:04x}' for vendor, device in sorted(_drivers))}"
            )
        port: Port = _load(_drivers[identity])(function, spec)
        return port
    except BaseException:
        function.close()
        raise


def _register_own_drivers() -> None:
    from dataplane.pmd.datasheet import pci

    for device in pci.PF_IDS:
        _drivers.setdefault((pci.INTEL, device), "dataplane.pmd.ixgbe.pf:IxgbePort")
    for device in (pci.VF_82599, pci.VF_82599_HV):
        _drivers.setdefault((pci.INTEL, device), "dataplane.pmd.ixgbe.vf.port:IxgbeVfPort")


def _load(opener: Opener) -> Callable[..., Any]:
    if not isinstance(opener, str):
        return opener
    module, _, name = opener.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), name)
    return found
