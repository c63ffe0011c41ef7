# SPDX-License-Identifier: BSD-3-Clause
"""Turns one scapy packet with one value per field into bytes, and says where fields and checksums lie in
them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dataplane.apps.flows.axes import layers_of

Choice = dict[tuple[int, str], Any]

# Values that scapy would look up in this host's routing table or on the network. A generator must give the same
# frames on every machine, and must not send an ARP request because a program describes a packet.
FILL_SOURCE_MAC = "02:00:00:00:00:01"
FILL_DESTINATION_MAC = "ff:ff:ff:ff:ff:ff"
FILL_SOURCE_IPV4 = "198.18.0.1"  # RFC 2544, the block for benchmarks
FILL_SOURCE_IPV6 = "2001:2::1"  # RFC 5180, the same


@dataclass(frozen=True)
class Place:
    """Bits of a frame: `first` counts from the frame's first bit, `state` is what scapy packs the field
    behind.
    """

    first: int
    bits: int
    state: Any


@dataclass(frozen=True)
class Checksum:
    """An Internet checksum that scapy fills in: where it is stored, and which bytes it covers.

    Each span (start, end) begins on an even position of the checksummed data; `extra` is what the pseudo
    header adds beyond the addresses.
    """

    offset: int
    spans: tuple[tuple[int, int], ...]
    extra: int
    zero_is_ffff: bool


def complete(packet: Any) -> Any:
    """A copy of `packet` from the Ethernet header on, with no field left that scapy would look up on this
    host.
    """
    from scapy.layers.inet import IP
    from scapy.layers.inet6 import IPv6
    from scapy.layers.l2 import ARP, Ether

    packet = Ether() / packet if isinstance(packet, (IP, IPv6, ARP)) else packet.copy()
    for layer in layers_of(packet):
        if layer.raw_packet_cache is None:
            for field in layer.fields_desc:
                if layer.getfieldval(field.name) is None and (fill := _fill(layer, field)) is not None:
                    layer.setfieldval(field.name, fill)
    return packet


def _fill(layer: Any, field: Any) -> str | None:
    from scapy.fields import MultipleTypeField, SourceIP6Field, SourceIPField
    from scapy.layers.l2 import DestMACField, SourceMACField

    while True:
        if isinstance(field, MultipleTypeField):
            field = field._find_fld_pkt(layer)
        elif hasattr(field, "fld"):
            field = field.fld
        else:
            break
    fills = (
        (SourceMACField, FILL_SOURCE_MAC),
        (DestMACField, FILL_DESTINATION_MAC),
        (SourceIPField, FILL_SOURCE_IPV4),
        (SourceIP6Field, FILL_SOURCE_IPV6),
    )
    return next((fill for kind, fill in fills if isinstance(field, kind)), None)


def fix(packet: Any, choice: Choice, padding: int = 0, tail: bytes = b"") -> Any:
    """`packet` with the chosen values, exactly as scapy's own iteration would yield it, grown by `padding`
    zeros.

    The zeros go into the innermost payload, so every length and checksum that scapy computes counts them.
    `tail` replaces the payload's last bytes.
    """
    from scapy.compat import bytes_encode
    from scapy.packet import Padding, Raw

    upper: Any = None
    for number, layer in reversed(list(enumerate(layers_of(packet)))):
        values = dict(layer.fields)
        values.update((name, value) for (owner, name), value in choice.items() if owner == number)
        upper = layer.clone_with(payload=upper, **values)
    if padding:
        last = upper.lastlayer()
        if isinstance(last, (Raw, Padding)):
            last.load = bytes_encode(last.load) + bytes(padding)
        else:
            last.add_payload(Raw(bytes(padding)))
    if tail:
        last = upper.lastlayer()
        last.load = bytes_encode(last.load)[: -len(tail)] + tail
    return upper


def payload_length(fixed: Any) -> int:
    """Bytes of payload behind the headers of a fixed packet."""
    from scapy.compat import bytes_encode
    from scapy.packet import Padding, Raw

    last = fixed.lastlayer()
    return len(bytes_encode(last.load)) if isinstance(last, (Raw, Padding)) else 0


def starts_of(fixed: Any) -> list[tuple[Any, int, int, int]]:
    """(layer, start, end of its header, end of its payload) in bytes for each layer of a fixed packet."""
    found = []
    start = 0
    for layer in layers_of(fixed):
        whole, payload = len(layer.do_build()), len(layer.payload.do_build())
        found.append((layer, start, start + whole - payload, start + whole))
        start += whole - payload
    return found


def place(layer: Any, start: int, name: str) -> Place:
    """Where field `name` of a fixed `layer` lies, when the layer's header starts at byte `start`."""
    state: Any = b""
    for field in layer.fields_desc:
        before = _bits(state)
        after = field.addfield(layer, state, layer.getfieldval(field.name))
        if field.name == name:
            pending = (b"", state[1], 0) if isinstance(state, tuple) else b""
            return Place(start * 8 + before, _bits(after) - before, pending)
        state = after
    raise KeyError(name)


def encode(layer: Any, name: str, where: Place, value: Any) -> int | None:
    """The bits of `value` in the frame, as a number, or None when they do not fit the same place."""
    field = layer.get_field(name)
    if value is None:
        return None  # scapy computes it, from the rest of the packet
    packed = field.addfield(layer, where.state, value)
    if _bits(packed) - _bits(where.state) != where.bits:
        return None
    data: bytes
    data, pending, tail = packed if isinstance(packed, tuple) else (packed, 0, 0)
    bits: int = int.from_bytes(data, "big") << pending | tail
    return bits & ((1 << where.bits) - 1)


def _bits(state: Any) -> int:
    return len(state[0]) * 8 + state[1] if isinstance(state, tuple) else len(state) * 8


def checksums(fixed: Any) -> list[Checksum]:
    """The checksums that scapy computes in `fixed`, innermost first."""
    from scapy.layers.inet import ICMP, IP, TCP, UDP
    from scapy.layers.inet6 import IPv6, _ICMPv6, _IPv6ExtHdr

    found = []
    below: tuple[Any, int] | None = None  # the IP layer under the current one and its start
    for layer, start, header_end, end in starts_of(fixed):
        if isinstance(layer, (IP, IPv6)):
            below = (layer, start)
        if layer.raw_packet_cache is not None:
            continue
        if isinstance(layer, IP) and layer.chksum is None:
            found.append(Checksum(start + 10, ((start, header_end),), 0, False))
        elif isinstance(layer, ICMP) and layer.chksum is None:
            found.append(Checksum(start + 2, ((start, end),), 0, False))
        elif below is not None and isinstance(layer.underlayer, (IP, IPv6, _IPv6ExtHdr)):
            if isinstance(layer, UDP) and layer.chksum is None:
                found.append(_transport(start + 6, start, end, 17, below, True))
            elif isinstance(layer, TCP) and layer.chksum is None:
                found.append(_transport(start + 16, start, end, 6, below, False))
            elif isinstance(layer, _ICMPv6) and layer.cksum is None:
                found.append(_transport(start + 2, start, end, 58, below, False))
    return found[::-1]


def _transport(
    offset: int, start: int, end: int, protocol: int, below: tuple[Any, int], udp: bool
) -> Checksum:
    """A checksum over [start, end) and the pseudo header of the IP layer `below`."""
    from scapy.layers.inet import IP

    layer, at = below
    length = end - start
    if isinstance(layer, IP):
        if layer.len is not None:  # an IP length given by hand goes into scapy's pseudo header
            length = max(layer.len - 4 * (layer.ihl or 5 + sum(map(len, layer.options)) // 4), 0)
        addresses = (at + 12, at + 20)
    else:
        addresses = (at + 8, at + 40)
    return Checksum(offset, ((start, end), addresses), protocol + length, udp)
