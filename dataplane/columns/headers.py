# SPDX-License-Identifier: BSD-3-Clause
"""Header fields of untagged Ethernet frames: ``burst[ip4.ttl]``, ``packet[eth.src]``.

Offsets are from the first byte of the frame. Layer 4 follows an IPv4 header without options (``udp``, ``tcp``,
``icmp``); ``udp.dport.at(20)`` is behind IPv6, ``ip4.ttl.at(4)`` behind a VLAN tag. A field of your own is
``Field("my.id", 42, 4)``.
"""

from __future__ import annotations

import ipaddress
from typing import TypeVar, cast

from dataplane.columns.field import Field
from dataplane.port import parse_mac

__all__ = [
    "Field",
    "Header",
    "arp",
    "eth",
    "icmp",
    "ip4",
    "ip6",
    "ip_number",
    "mac_number",
    "tcp",
    "udp",
    "vlan",
]


class Header:
    """The fields of a header, as attributes of an object: looked up faster than a class's, and apps do it for each burst."""

    def __init__(self, described: type) -> None:
        self.__name__ = described.__name__
        self.__doc__ = described.__doc__
        for name, field in vars(described).items():
            if isinstance(field, Field):
                setattr(self, name, field)

    def __repr__(self) -> str:
        return f"<Header {self.__name__}>"


T = TypeVar("T")


def header(described: type[T]) -> type[T]:
    """A class whose attributes are fields becomes a `Header`; to a type checker it is still the class."""
    return cast(type[T], Header(described))


@header
class eth:
    """Ethernet, IEEE 802.3: addresses are 48-bit numbers (`mac_number`)."""

    dst = Field("eth.dst", 0, 6)
    src = Field("eth.src", 6, 6)
    type = Field("eth.type", 12, 2)


@header
class vlan:
    """IEEE 802.1Q: the tag of a frame whose eth.type is 0x8100; `type` is that of what is inside."""

    tci = Field("vlan.tci", 14, 2)
    pcp = Field("vlan.pcp", 14, 2, shift=13, bits=3)
    dei = Field("vlan.dei", 14, 2, shift=12, bits=1)
    vid = Field("vlan.vid", 14, 2, bits=12)
    type = Field("vlan.type", 16, 2)


@header
class arp:
    """ARP for IPv4 over Ethernet, RFC 826."""

    htype = Field("arp.htype", 14, 2)
    ptype = Field("arp.ptype", 16, 2)
    hlen = Field("arp.hlen", 18, 1)
    plen = Field("arp.plen", 19, 1)
    op = Field("arp.op", 20, 2)
    sha = Field("arp.sha", 22, 6)
    spa = Field("arp.spa", 28, 4)
    tha = Field("arp.tha", 32, 6)
    tpa = Field("arp.tpa", 38, 4)


@header
class ip4:
    """IPv4, RFC 791: addresses are 32-bit numbers (`ip_number`); `ihl` counts words of 4 bytes, `fragment` of 8."""

    version = Field("ip4.version", 14, 1, shift=4, bits=4)
    ihl = Field("ip4.ihl", 14, 1, bits=4)
    tos = Field("ip4.tos", 15, 1)
    dscp = Field("ip4.dscp", 15, 1, shift=2, bits=6)
    ecn = Field("ip4.ecn", 15, 1, bits=2)
    length = Field("ip4.length", 16, 2)
    id = Field("ip4.id", 18, 2)
    flags = Field("ip4.flags", 20, 2, shift=13, bits=3)
    fragment = Field("ip4.fragment", 20, 2, bits=13)
    ttl = Field("ip4.ttl", 22, 1)
    proto = Field("ip4.proto", 23, 1)
    checksum = Field("ip4.checksum", 24, 2)
    src = Field("ip4.src", 26, 4)
    dst = Field("ip4.dst", 30, 4)


@header
class ip6:
    """IPv6, RFC 8200: a column of addresses is an array of shape (packets, 16) of uint8."""

    version = Field("ip6.version", 14, 4, shift=28, bits=4)
    traffic_class = Field("ip6.traffic_class", 14, 4, shift=20, bits=8)
    flow = Field("ip6.flow", 14, 4, bits=20)
    length = Field("ip6.length", 18, 2)
    next = Field("ip6.next", 20, 1)
    hops = Field("ip6.hops", 21, 1)
    src = Field("ip6.src", 22, 16)
    dst = Field("ip6.dst", 38, 16)


@header
class udp:
    """UDP, RFC 768, behind an IPv4 header without options."""

    sport = Field("udp.sport", 34, 2)
    dport = Field("udp.dport", 36, 2)
    length = Field("udp.length", 38, 2)
    checksum = Field("udp.checksum", 40, 2)


@header
class tcp:
    """TCP, RFC 9293, behind an IPv4 header without options; `offset` counts words of 4 bytes."""

    sport = Field("tcp.sport", 34, 2)
    dport = Field("tcp.dport", 36, 2)
    seq = Field("tcp.seq", 38, 4)
    ack = Field("tcp.ack", 42, 4)
    offset = Field("tcp.offset", 46, 1, shift=4, bits=4)
    flags = Field("tcp.flags", 47, 1)
    window = Field("tcp.window", 48, 2)
    checksum = Field("tcp.checksum", 50, 2)
    urgent = Field("tcp.urgent", 52, 2)


@header
class icmp:
    """ICMP, RFC 792, behind an IPv4 header without options; id and seq are those of an echo."""

    type = Field("icmp.type", 34, 1)
    code = Field("icmp.code", 35, 1)
    checksum = Field("icmp.checksum", 36, 2)
    id = Field("icmp.id", 38, 2)
    seq = Field("icmp.seq", 40, 2)


def mac_number(text: str) -> int:
    """A MAC address as the columns have it: "02:00:00:00:00:01" is 0x020000000001. Raises ConfigError."""
    return int.from_bytes(parse_mac(text), "big")


def ip_number(text: str) -> int:
    """An IPv4 address as the columns have it: "10.0.0.1" is 0x0A000001. Raises ValueError."""
    return int(ipaddress.IPv4Address(text))
