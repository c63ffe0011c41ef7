# SPDX-License-Identifier: BSD-3-Clause
"""The receive side once more, slow and by the book, for comparison: filters, packet types, checksums, RSS."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from dataplane.pmd.datasheet import descriptors as d

BROADCAST = b"\xff" * 6
RSS_KEY = bytes.fromhex("6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa")


@dataclass
class Filter:
    """The contents of the filter registers."""

    addresses: list[bytes] = field(default_factory=list)
    unicast_all: bool = False
    multicast_all: bool = False
    broadcast: bool = False
    hashes: set[int] | None = None  # None: MCSTCTRL.MFE is off
    offset: int = 0
    vlans: set[int] | None = None  # None: VLNCTRL.VFE is off
    cfi: int | None = None

    def accepts(self, frame: bytes) -> str:
        """ "" (no), "exact" or "hash"."""
        if self.vlans is not None and frame[12:14] == b"\x81\x00":
            tag = int.from_bytes(frame[14:16], "big")
            if (self.cfi is not None and tag >> 12 & 1 != self.cfi) or tag & 0xFFF not in self.vlans:
                return ""
        to = frame[:6]
        if to == BROADCAST:
            return "exact" if self.broadcast or self.multicast_all else ""
        if to in self.addresses or (self.multicast_all if to[0] & 1 else self.unicast_all):
            return "exact"
        if to[0] & 1 and self.hashes is not None and multicast_hash(to, self.offset) in self.hashes:
            return "hash"
        return ""


def multicast_hash(address: bytes, offset: int) -> int:
    """12 of the 16 last bits of the address, as MCSTCTRL.MO chooses (8.2.3.7.3): 47:36, 46:35, 45:34 or 43:32."""
    high = int.from_bytes(address, "little") >> 32
    return high >> {0: 4, 1: 3, 2: 2, 3: 0}[offset] & 0xFFF


def ones_sum(data: bytes) -> int:
    """The Internet checksum's sum, folded."""
    total = sum(struct.unpack(f">{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def crc32c(data: bytes) -> int:
    rest = 0xFFFFFFFF
    for byte in data:
        rest ^= byte
        for _ in range(8):
            rest = rest >> 1 ^ (0x82F63B78 if rest & 1 else 0)
    return rest ^ 0xFFFFFFFF


def toeplitz(data: bytes, key: bytes = RSS_KEY) -> int:
    """Bit by bit: the key's window at each set bit (7.1.2.8)."""
    window, result = int.from_bytes(key, "big"), 0
    for i in range(len(data) * 8):
        if data[i // 8] >> (7 - i % 8) & 1:
            result ^= window >> (len(key) * 8 - 32 - i) & 0xFFFFFFFF
    return result


@dataclass
class Packet:
    """The fields that the parser finds."""

    kind: int = 0  # packet type bits, where the descriptor has them
    status: int = 0
    tag: int = 0
    addresses: bytes = b""
    ports: bytes = b""
    protocol: int = -1
    version: int = 0
    extended: bool = False


def parse(frame: bytes) -> Packet:
    """A frame without FCS; VLNCTRL.VET is 0x8100."""
    p, at = Packet(), 12
    if frame[12:14] == b"\x81\x00" and len(frame) >= 18:
        p.status |= d.RXD_STAT_VP
        p.tag, at = int.from_bytes(frame[14:16], "big"), 16
    etype, packet = frame[at : at + 2], frame[at + 2 :]
    if etype == b"\x08\x00":
        _ipv4(packet, p)
    elif etype == b"\x86\xdd":
        _ipv6(packet, p)
    return p


def _ipv4(packet: bytes, p: Packet) -> None:
    if len(packet) < 20 or packet[0] >> 4 != 4:
        return
    header = (packet[0] & 15) * 4
    if header < 20 or header > len(packet):
        return
    p.version, p.protocol, p.addresses = 4, packet[9], packet[12:20]
    p.kind |= d.RXD_PTYPE_IPV4 | (d.RXD_PTYPE_IPV4_EX if header > 20 else 0)
    p.status |= d.RXD_STAT_IPCS
    good = ones_sum(packet[:header]) == 0xFFFF
    if not good:
        p.status |= d.RXD_ERR_IPE
    length = int.from_bytes(packet[2:4], "big")
    if length < header or length > len(packet) or int.from_bytes(packet[6:8], "big") & 0x3FFF:
        return
    _transport(packet[header:length], p, good)


def _ipv6(packet: bytes, p: Packet) -> None:
    if len(packet) < 40 or packet[0] >> 4 != 6:
        return
    p.version, p.addresses, p.protocol = 6, packet[8:40], packet[6]
    p.kind |= d.RXD_PTYPE_IPV6
    length = int.from_bytes(packet[4:6], "big")
    if length + 40 > len(packet):
        return
    rest, routed = packet[40 : 40 + length], False
    while p.protocol in (0, 43, 44, 60):
        p.kind |= d.RXD_PTYPE_IPV6_EX
        p.extended = True
        if len(rest) < 8:
            return
        if p.protocol == 44:
            fragment = int.from_bytes(rest[2:4], "big") & 0xFFF9
            p.protocol, rest = rest[0], rest[8:]
            if fragment:
                return
        else:
            routed = routed or p.protocol == 43
            size = (rest[1] + 1) * 8
            p.protocol = rest[0]
            if size > len(rest):
                return
            rest = rest[size:]
    _transport(rest, p, not routed)


def _transport(data: bytes, p: Packet, check: bool) -> None:
    if p.protocol == 17 and len(data) >= 8:
        p.kind |= d.RXD_PTYPE_UDP
        p.ports = data[:4]
        if not check or data[6:8] == b"\0\0":
            return
        p.status |= d.RXD_STAT_L4CS | d.RXD_STAT_UDPCS
        length = int.from_bytes(data[4:6], "big")
        good = 8 <= length <= len(data) and _l4_good(data[:length], p)
    elif p.protocol == 6 and len(data) >= 20:
        p.kind |= d.RXD_PTYPE_TCP
        p.ports = data[:4]
        if not check:
            return
        p.status |= d.RXD_STAT_L4CS
        good = _l4_good(data, p)
    elif p.protocol == 132 and len(data) >= 12:
        p.kind |= d.RXD_PTYPE_SCTP
        if not check:
            return
        p.status |= d.RXD_STAT_L4CS
        good = crc32c(data[:8] + bytes(4) + data[12:]) == int.from_bytes(data[8:12], "little")
    else:
        p.kind |= {50: d.RXD_PTYPE_ESP, 51: d.RXD_PTYPE_AH}.get(p.protocol, 0)
        return
    if not good:
        p.status |= d.RXD_ERR_L4E


def _l4_good(data: bytes, p: Packet) -> bool:
    return ones_sum(p.addresses + struct.pack(">HH", p.protocol, len(data)) + data) == 0xFFFF


def rss(p: Packet, fields: int) -> tuple[int, int]:
    """(type, hash) for MRQC[31:16]."""
    four, six = p.version == 4, p.version == 6
    tcp, udp = bool(p.ports) and p.protocol == 6, bool(p.ports) and p.protocol == 17
    plain = not p.extended
    for bit, kind, fits, with_ports in (
        (0, d.RXD_RSS_TCP_IPV4, four and tcp, True),
        (6, d.RXD_RSS_UDP_IPV4, four and udp, True),
        (1, d.RXD_RSS_IPV4, four, False),
        (5, d.RXD_RSS_TCP_IPV6, six and tcp and plain, True),
        (2, d.RXD_RSS_TCP_IPV6_EX, six and tcp, True),
        (7, d.RXD_RSS_UDP_IPV6, six and udp and plain, True),
        (8, d.RXD_RSS_UDP_IPV6_EX, six and udp, True),
        (4, d.RXD_RSS_IPV6, six and plain, False),
        (3, d.RXD_RSS_IPV6_EX, six, False),
        (4, d.RXD_RSS_IPV6, six, False),
    ):
        if fits and fields >> bit & 1:
            return kind, toeplitz(p.addresses + (p.ports if with_ports else b""))
    return 0, 0
