# SPDX-License-Identifier: BSD-3-Clause
"""Abilities of ports other than queues: one class for each capability, and one error for those that a port lacks.

``port.rss``, ``port.flows`` and the others return objects of the classes below; ``"rss" in port.capabilities`` asks without
an error. A driver subclasses what it implements and passes the objects to `Port._provide`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from dataplane.errors import PortError

__all__ = [
    "CAPABILITIES",
    "Capability",
    "PortClock",
    "PortFlows",
    "PortMacs",
    "PortMulticast",
    "PortRates",
    "PortRss",
    "PortVfs",
    "PortVlans",
    "missing",
]

_PF = "the PF of an 82599 (model0, a PCI address, vfio-user:PATH)"
_PF_AND_VF = "PF and VFs of an 82599"

# By attribute of a port: what it is, and which ports have it.
CAPABILITIES = {
    "clock": ("IEEE 1588 clock", _PF),
    "flows": ("flow rules", _PF),
    "macs": ("filter for further MAC addresses", _PF_AND_VF),
    "multicast": ("multicast filter", _PF_AND_VF),
    "rates": ("rate limits of Tx queues", _PF),
    "rss": ("RSS", _PF_AND_VF),
    "vfs": ("VFs", "the PF of an 82599 that was opened with vfs=N"),
    "vlans": ("VLAN filter", _PF_AND_VF),
}


def missing(port: str, name: str, hint: str = "") -> PortError:
    """The error for capability `name` of a port that lacks it. hint: what to do on this port instead."""
    what, holders = CAPABILITIES[name]
    return PortError(f"{port} has no {what} (port.{name}): {hint or f'ports that have it: {holders}'}")


class Capability:
    """One capability of a port. port: the port that it belongs to; it holds as long as the port is open."""

    def __init__(self, port: Any) -> None:
        self.port = port

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.port.name}>"


class PortRss(Capability):
    """RSS: a hash of each packet's addresses and ports, and a table of 128 Rx queues that its low 7 bits select from.

    A setting takes effect at once on a running port and survives a restart. A VF may only read what its PF has set.
    """

    @property
    @abstractmethod
    def key(self) -> bytes:
        """The key of the hash, 40 bytes.

        Set it to bytes, to 80 hex digits, to "default", or to "symmetric": both directions of a flow then have one hash.
        Raises ConfigError for another value, PortError where the port cannot set or read it.
        """

    @key.setter
    @abstractmethod
    def key(self, value: str | bytes) -> None: ...

    @property
    @abstractmethod
    def table(self) -> tuple[int, ...]:
        """The Rx queue for each value of the hash's low 7 bits. Set it to 128 queue numbers, in a list or an array.

        Raises ConfigError for a queue that RSS cannot fill, PortError where the port cannot set or read it.
        """

    @table.setter
    @abstractmethod
    def table(self, value: Iterable[int]) -> None: ...

    @abstractmethod
    def spread(self, shares: int | Sequence[int] | None = None) -> None:
        """Fill the table: ``spread(4)`` evenly with queues 0 to 3, ``spread([6, 2])`` by weights.

        shares: a number of queues, or a weight for each queue; None: evenly over however many queues the port has, which
        is the setting of a new port. Raises ConfigError, PortError as `table`.
        """

    @property
    @abstractmethod
    def hash_types(self) -> tuple[str, ...]:
        """What is hashed: "ipv4", "ipv6" for addresses, "ipv4-tcp", "ipv6-udp", ... for ports too.

        Set it to any of these; with none of them every packet goes to queue 0. Raises ConfigError, PortError.
        """

    @hash_types.setter
    @abstractmethod
    def hash_types(self, value: Iterable[str]) -> None: ...


class PortFlows(Capability, Sequence[Any]):
    """The flow rules of a port, as a sequence in the order in which the device applies them."""

    @abstractmethod
    def add(
        self,
        *,
        queue: int | None = None,
        drop: bool = False,
        proto: str | None = None,
        src: str | IPv4Address | IPv4Network | None = None,
        dst: str | IPv4Address | IPv4Network | None = None,
        src_port: int | None = None,
        dst_port: int | None = None,
        vlan: int | None = None,
        ether_type: int | None = None,
        priority: int | None = None,
    ) -> Any:
        """Send matching packets to an Rx queue, or drop them: ``port.flows.add(proto="udp", dst_port=53, queue=2)``.

        queue: the Rx queue; drop: drop instead. proto: tcp, udp, sctp or other. src, dst: an IPv4 address or network.
        src_port, dst_port: 0 to 65535. vlan: an identifier. ether_type: on its own. priority: 0 to 7, the highest wins.
        A field that is left out matches any value.

        Returns the rule, which has `remove`; a ``with`` block removes it at its end. Raises ConfigError.
        """

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.port.name}: {len(self)}>"


class PortRates(Capability):
    """Limits for the rate of each Tx queue. They take effect at once and survive a restart."""

    @abstractmethod
    def set(self, queue: int, mbps: int) -> None:
        """Let Tx queue `queue` send at most `mbps` Mbit/s, counted in bytes of frames with FCS; 0 removes the limit.

        The queue need not have been named yet. Raises ConfigError for a queue or a rate that the device does not have.
        """

    @property
    @abstractmethod
    def limits(self) -> dict[int, int]:
        """The limits in force: Mbit/s by Tx queue."""


class PortVfs(Capability):
    """The virtual functions of a PF."""

    @abstractmethod
    def show(self) -> list[dict[str, Any]]:
        """A row for each VF: its settings, state and counters, as ``dataplane vf show`` prints them. Raises DeviceGone."""

    @abstractmethod
    def set(self, vf: int, **settings: str | int | bool) -> None:
        """Change settings of VF number `vf`, all or none: those that ``dataplane vf set --help`` lists.

        Their values are those of ``ip link set PF vf N``. Raises ConfigError, DeviceGone.
        """

    @abstractmethod
    def explain(self, vf: int | None = None) -> dict[str, Any]:
        """Why VF number `vf` sends or receives nothing: "ok", "summary", and "findings" with kind, way, text and mend.

        vf: None for all VFs: each in "vfs", and "ok" for all that are in use. Raises ConfigError, DeviceGone.
        """


class PortClock(Capability):
    """The IEEE 1588 clock of a port, and the time stamps that packets get from it. Times are in ns."""

    @abstractmethod
    def read(self) -> int:
        """The time in ns. Raises DeviceGone."""

    @abstractmethod
    def set(self, ns: int) -> None:
        """Set the time to `ns`, 0 to 2**63 - 1. Raises ConfigError."""

    @abstractmethod
    def step(self, ns: int) -> None:
        """Move the time by `ns`, forward or back, at most 10**9. Raises ConfigError."""

    @abstractmethod
    def adjust(self, ppb: float) -> float:
        """Run `ppb` parts per billion faster than nominal, slower if negative; returns what the device can do.

        Raises ConfigError.
        """

    @abstractmethod
    def stamp(self, on: bool = True, *, message: int | None = None, udp_port: int = 319) -> None:
        """Stamp PTP messages. message: only of this type, 0 to 15; None: all event messages. udp_port: 1 to 65535.

        Raises ConfigError.
        """

    @abstractmethod
    def rx_stamp(self, timeout: float = 0.0) -> Any:
        """The stamp of a received message: ns, sequence, source; None if none arrives within `timeout` s.

        Raises PortError if stamps are off.
        """

    @abstractmethod
    def tx_stamp(self, timeout: float = 0.0) -> int | None:
        """When a packet marked "stamp" left, in ns; None if there is no stamp within `timeout` s.

        Raises PortError if stamps are off.
        """


class PortMacs(Capability, Sequence[str]):
    """The unicast MAC addresses that a port receives frames for: ``port.mac`` first, then those that were added."""

    @abstractmethod
    def add(self, address: str) -> None:
        """Also receive frames to this unicast address, as a bridge or a bond in a guest needs it; survives a restart.

        address: "02:00:00:00:00:01". No effect if the port has it already. Raises ConfigError for another form and for an
        address in use, and where the device has no room; MailboxRefused where a VF's PF does not allow it.
        """

    @abstractmethod
    def remove(self, address: str) -> None:
        """Stop receiving frames to an address that `add` added; no effect for one that was not added.

        Raises ConfigError for the port's first address: set ``port.mac`` to change that.
        """

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.port.name}: {', '.join(self)}>"


class PortMulticast(Capability):
    """The multicast groups that a port receives. ``port.allmulticast`` receives every group."""

    @abstractmethod
    def set(self, groups: Iterable[str]) -> None:
        """Receive these groups and no others. groups: multicast MAC addresses, "01:00:5e:00:00:01".

        Hash filters may let other groups through, too. Raises ConfigError for an address that is not multicast.
        """

    @property
    @abstractmethod
    def groups(self) -> tuple[str, ...]:
        """The groups of the last `set`."""


class PortVlans(Capability):
    """The VLANs whose tagged frames a port receives. A PF has no filter before the first `add` or `remove`."""

    @abstractmethod
    def add(self, vid: int) -> None:
        """Receive tagged frames of VLAN `vid`, 0 to 4095. Raises ConfigError; MailboxRefused where a VF's PF refuses."""

    @abstractmethod
    def remove(self, vid: int) -> None:
        """Stop receiving tagged frames of VLAN `vid`, 0 to 4095. Raises ConfigError."""

    @property
    @abstractmethod
    def ids(self) -> tuple[int, ...] | None:
        """The VLANs that are received, ascending; None: no filter, frames of every VLAN."""
