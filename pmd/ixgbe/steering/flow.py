# SPDX-License-Identifier: BSD-3-Clause
"""The conditions of a flow rule, and the rule itself, which `PfFlows.add` returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv4Network, ip_address, ip_network

from dataplane.errors import ConfigError

__all__ = ["PROTOCOLS", "Flow", "Match", "parse_match"]

PROTOCOLS = ("tcp", "udp", "sctp", "other")
_PORT_MAX, _VID_MAX, _TYPE_MIN, _TYPE_MAX = 0xFFFF, 0xFFF, 0x600, 0xFFFF
# The chip's parser is done with these before it looks for types, and a filter for them would blind it (7.1.2.3).
_TYPES_OF_OTHERS = {
    0x0800: "say src, dst, proto or ports, which are IPv4's",
    0x86DD: "IPv6 is spread by RSS",
    0x8100: "the chip looks behind a VLAN tag: say vlan",
}


@dataclass(frozen=True, slots=True)
class Match:
    """The packets that a rule matches; None: any. The type of a tagged packet is the one behind the tag."""

    proto: str | None = None
    src: IPv4Network | None = None
    dst: IPv4Network | None = None
    src_port: int | None = None
    dst_port: int | None = None
    vlan: int | None = None
    ether_type: int | None = None

    @property
    def said(self) -> int:
        """How many fields it has."""
        return sum(getattr(self, name) is not None for name in self.__slots__)

    def __str__(self) -> str:
        if self.ether_type is not None:
            return f"type {self.ether_type:#06x}"

        def end(network: IPv4Network | None, port: int | None) -> str:
            host = "*" if network is None else str(network).removesuffix("/32")
            return f"{host}:{'*' if port is None else port}"

        tag = "" if self.vlan is None else f"vlan {self.vlan} "
        return f"{tag}{self.proto or 'ip'} {end(self.src, self.src_port)} -> {end(self.dst, self.dst_port)}"


def parse_match(
    proto: str | None = None,
    src: str | IPv4Address | IPv4Network | None = None,
    dst: str | IPv4Address | IPv4Network | None = None,
    src_port: int | None = None,
    dst_port: int | None = None,
    vlan: int | None = None,
    ether_type: int | None = None,
) -> Match:
    """A `Match` of what was asked for. Raises ConfigError for what makes no sense or what the chip cannot compare."""
    match = Match(
        _protocol(proto), _network("src", src), _network("dst", dst),
        _number("src_port", src_port, 0, _PORT_MAX), _number("dst_port", dst_port, 0, _PORT_MAX),
        _number("vlan", vlan, 0, _VID_MAX), _number("ether_type", ether_type, _TYPE_MIN, _TYPE_MAX),
    )  # fmt: skip
    if not match.said:
        raise ConfigError(
            "a flow of every packet there is: say proto, src, dst, src_port, dst_port, vlan or ether_type"
        )
    if match.ether_type is not None and match.said > 1:
        raise ConfigError("ether_type goes alone: what has addresses, ports or a protocol is IPv4 anyway")
    if match.ether_type in _TYPES_OF_OTHERS:
        raise ConfigError(
            f"no filter for ether_type={match.ether_type:#06x}: {_TYPES_OF_OTHERS[match.ether_type]}"
        )
    if match.proto == "other" and (match.src_port, match.dst_port) != (None, None):
        raise ConfigError("ports of proto='other': only tcp, udp and sctp have ports")
    return match


def _protocol(name: str | None) -> str | None:
    if name is not None and name not in PROTOCOLS:
        raise ConfigError(
            f"proto={name!r}: the chip tells apart {', '.join(PROTOCOLS)}; other is any protocol but these three"
        )
    return name


def _network(name: str, value: str | IPv4Address | IPv4Network | None) -> IPv4Network | None:
    if value is None:
        return None
    text = str(value)
    try:
        found = ip_network(text)
    except (ValueError, AddressValueError) as error:
        loose = _loosely(text)
        hint = f"write {loose} for the network" if loose else "expected an IPv4 address or network"
        raise ConfigError(f"{name}={text}: {error}; {hint}") from None
    if not isinstance(found, IPv4Network):
        raise ConfigError(
            f"{name}={text}: filters compare IPv4 addresses only (datasheet 7.1.2.5, 7.1.2.7); RSS spreads IPv6 by its "
            f"addresses and ports"
        )
    return found if found.prefixlen else None


def _loosely(text: str) -> str | None:
    """The network that an address with a prefix lies in."""
    try:
        ip_address(text.partition("/")[0])
        return str(ip_network(text, strict=False))
    except ValueError:
        return None


def _number(name: str, value: int | None, low: int, high: int) -> int | None:
    if value is not None and not low <= value <= high:
        raise ConfigError(f"{name}={value}: must be {low} to {high}")
    return value


class Flow:
    """A rule that holds until `remove`, or the end of a `with` block. It stays over stop, start and resets of its port.

    match: which packets; queue: where they go, None if they are dropped; priority: among 5-tuple filters, 7 wins;
    where: what of the chip carries it out.
    """

    def __init__(
        self, match: Match, queue: int | None, priority: int, remove: Callable[[Flow], None]
    ) -> None:
        self.match, self.queue, self.priority = match, queue, priority
        self.where = ""
        self._remove = remove

    @property
    def drop(self) -> bool:
        """Whether its packets are dropped."""
        return self.queue is None

    def remove(self) -> None:
        """The rule holds no longer. Does nothing the second time."""
        self._remove(self)

    def __enter__(self) -> Flow:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()

    def __str__(self) -> str:
        return f"{self.match} {'dropped' if self.queue is None else f'to queue {self.queue}'}"

    def __repr__(self) -> str:
        return f"<Flow {self} by {self.where or 'no filter: removed'}>"
