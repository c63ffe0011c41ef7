# SPDX-License-Identifier: BSD-3-Clause
"""Descriptors bit by bit: 16 bytes, two little-endian 64-bit words (datasheet 7.1.5, 7.1.6, 7.2.3).

Bits are given within the 32-bit word they lie in, as drivers handle them: the second 64-bit word is ``lower``
(its bits 31:0) and ``upper`` (63:32). The hot loops have the same numbers from ``hw82599.h``; a test compares
the two. The classes here are the reference that tests and traces use: plain, and never fast.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

SIZE = 16
_QUADS, _WORDS = struct.Struct("<QQ"), struct.Struct("<IIII")

# ---- Advanced receive, written back: status and errors (7.1.6.2) ----
RXD_STAT_DD = 1 << 0  # done: written last
RXD_STAT_EOP = 1 << 1  # last buffer of the packet; the rest of the word counts only here
RXD_STAT_FLM = 1 << 2  # matched a Flow Director filter
RXD_STAT_VP = 1 << 3  # had a VLAN tag
RXD_STAT_UDPCS = 1 << 4
RXD_STAT_L4CS = 1 << 5  # TCP or UDP checksum was checked
RXD_STAT_IPCS = 1 << 6  # IPv4 header checksum was checked
RXD_STAT_PIF = 1 << 7  # passed by a hash only
RXD_STAT_VEXT = 1 << 9  # had an outer VLAN tag
RXD_STAT_UDPV = 1 << 10
RXD_STAT_LLINT = 1 << 11
RXD_STAT_TS = 1 << 16
RXD_STAT_SECP = 1 << 17
RXD_STAT_LB = 1 << 18  # came from another pool, not from the wire
RXD_NEXTP_SHIFT = 4  # with EOP 0 in a large receive: [19:4] the next descriptor
RXD_NEXTP_MASK = 0x000FFFF0
RXD_ERR_FDIR_LEN = 1 << 20
RXD_ERR_FDIR_DROP = 1 << 21
RXD_ERR_FDIR_COLL = 1 << 22
RXD_ERR_HBO = 1 << 23  # header buffer overflow
RXD_ERR_RXE = 1 << 29  # MAC error; only with FCTRL.SBP
RXD_ERR_L4E = 1 << 30  # TCP or UDP checksum is wrong
RXD_ERR_IPE = 1 << 31  # IPv4 header checksum is wrong

# ---- Advanced receive, written back: the first word ----
RXD_RSS_TYPE_MASK = 0x0000000F
RXD_PKT_TYPE_SHIFT = 4  # [16:4], one bit a header
RXD_PKT_TYPE_MASK = 0x0001FFF0
RXD_RSCCNT_SHIFT = 17
RXD_RSCCNT_MASK = 0x001E0000
RXD_HDR_LEN_SHIFT = 21
RXD_HDR_LEN_MASK = 0x7FE00000
RXD_SPH = 1 << 31

RXD_PTYPE_IPV4 = 1 << 4
RXD_PTYPE_IPV4_EX = 1 << 5
RXD_PTYPE_IPV6 = 1 << 6
RXD_PTYPE_IPV6_EX = 1 << 7
RXD_PTYPE_TCP = 1 << 8
RXD_PTYPE_UDP = 1 << 9
RXD_PTYPE_SCTP = 1 << 10
RXD_PTYPE_NFS = 1 << 11
RXD_PTYPE_ESP = 1 << 12
RXD_PTYPE_AH = 1 << 13
RXD_PTYPE_LINKSEC = 1 << 14
RXD_PTYPE_ETQF = 1 << 15  # then [6:4] is the EtherType filter's index, and the other bits say nothing
RXD_PTYPE_ETQF_SHIFT = 4
RXD_PTYPE_ETQF_MASK = 0x00000070

RXD_RSS_NONE = 0
RXD_RSS_TCP_IPV4 = 1
RXD_RSS_IPV4 = 2
RXD_RSS_TCP_IPV6 = 3
RXD_RSS_IPV6_EX = 4
RXD_RSS_IPV6 = 5
RXD_RSS_TCP_IPV6_EX = 6
RXD_RSS_UDP_IPV4 = 7
RXD_RSS_UDP_IPV6 = 8
RXD_RSS_UDP_IPV6_EX = 9
RXD_RSS_DIRECTOR = 15  # no hash: what the flow director has to say (FDIRCTRL.REPORT_STATUS)

# ---- Legacy receive (7.1.5): status and errors are bytes ----
RXD_LEGACY_ERR_RXE = 1 << 0
RXD_LEGACY_ERR_TCPE = 1 << 6
RXD_LEGACY_ERR_IPE = 1 << 7

# ---- Legacy transmit (7.2.3.2.2): in the lower word ----
TXD_LEN_MASK = 0x0000FFFF
TXD_CSO_SHIFT = 16
TXD_CSO_MASK = 0x00FF0000
TXD_CMD_EOP = 1 << 24
TXD_CMD_IFCS = 1 << 25
TXD_CMD_IC = 1 << 26
TXD_CMD_RS = 1 << 27
TXD_CMD_DEXT = 1 << 29
TXD_CMD_VLE = 1 << 30
TXD_CMD_TSE = 1 << 31
TXD_CSS_SHIFT = 8  # in the upper word
TXD_CSS_MASK = 0x0000FF00
TXD_VLAN_SHIFT = 16
TXD_STAT_DD = 1 << 0  # in the upper word, every kind

# ---- Advanced transmit, data (7.2.3.2.4): lower word ----
TXD_DTYP_SHIFT = 20
TXD_DTYP_MASK = 0x00F00000
TXD_DTYP_CTX = 0x00200000
TXD_DTYP_DATA = 0x00300000
TXD_MAC_LINKSEC = 1 << 18
TXD_MAC_1588 = 1 << 19
# upper word
TXD_IDX_SHIFT = 4
TXD_IDX_MASK = 0x00000070
TXD_CC = 1 << 7  # use the context; a must with Tx switching
TXD_POPTS_IXSM = 1 << 8
TXD_POPTS_TXSM = 1 << 9
TXD_POPTS_IPSEC = 1 << 10
TXD_PAYLEN_SHIFT = 14
TXD_PAYLEN_MASK = 0xFFFFC000

# ---- Advanced transmit, context (7.2.3.2.3): the four 32-bit words ----
TXC_IPLEN_MASK = 0x000001FF
TXC_MACLEN_SHIFT = 9
TXC_MACLEN_MASK = 0x0000FE00
TXC_VLAN_SHIFT = 16
TXC_TUCMD_SNAP = 1 << 9  # third word, with TXD_CMD_DEXT and TXD_DTYP_CTX
TXC_TUCMD_IPV4 = 1 << 10
TXC_TUCMD_L4T_SHIFT = 11
TXC_TUCMD_L4T_MASK = 0x00001800
TXC_TUCMD_UDP = 0x00000000
TXC_TUCMD_TCP = 0x00000800
TXC_TUCMD_SCTP = 0x00001000
TXC_IDX_SHIFT = 4  # fourth word
TXC_IDX_MASK = 0x00000070
TXC_L4LEN_SHIFT = 8
TXC_L4LEN_MASK = 0x0000FF00
TXC_MSS_SHIFT = 16
CONTEXTS = 2  # slots a queue


class RxRead(NamedTuple):
    """Advanced receive, as the driver writes it (7.1.6.1): IOVAs; header 0 with one buffer."""

    packet: int
    header: int = 0

    def pack(self) -> bytes:
        """The bytes in memory."""
        return _QUADS.pack(self.packet, self.header)

    @classmethod
    def unpack(cls, data: bytes) -> RxRead:
        """From the bytes in memory."""
        return cls(*_QUADS.unpack(data))


class RxWriteback(NamedTuple):
    """Advanced receive, as the NIC writes it back (7.1.6.2). ``status``: the whole word, errors included."""

    rss_type: int = 0
    packet_type: int = 0  # RXD_PTYPE_*, in place
    rsc_count: int = 0
    header_length: int = 0
    split: int = 0
    rss_hash: int = 0  # or IP identification and fragment checksum, or the Flow Director's word
    status: int = 0
    length: int = 0
    vlan: int = 0

    def pack(self) -> bytes:
        """The bytes in memory."""
        info = (
            _fits(self.rss_type, 0, RXD_RSS_TYPE_MASK)
            | _fits(self.packet_type, 0, RXD_PKT_TYPE_MASK)
            | _fits(self.rsc_count, RXD_RSCCNT_SHIFT, RXD_RSCCNT_MASK)
            | _fits(self.header_length, RXD_HDR_LEN_SHIFT, RXD_HDR_LEN_MASK)
            | _fits(self.split, 31, RXD_SPH)
        )
        return _WORDS.pack(info, self.rss_hash, self.status, self.length | self.vlan << 16)

    @classmethod
    def unpack(cls, data: bytes) -> RxWriteback:
        """From the bytes in memory."""
        info, rss_hash, status, tail = _WORDS.unpack(data)
        return cls(
            info & RXD_RSS_TYPE_MASK,
            info & RXD_PKT_TYPE_MASK,
            (info & RXD_RSCCNT_MASK) >> RXD_RSCCNT_SHIFT,
            (info & RXD_HDR_LEN_MASK) >> RXD_HDR_LEN_SHIFT,
            info >> 31,
            rss_hash,
            status,
            tail & 0xFFFF,
            tail >> 16,
        )


class RxLegacy(NamedTuple):
    """Legacy receive (7.1.5): the driver writes the address, the NIC the rest."""

    address: int
    length: int = 0
    checksum: int = 0
    status: int = 0  # RXD_STAT_*, the low byte
    errors: int = 0  # RXD_LEGACY_ERR_*
    vlan: int = 0

    def pack(self) -> bytes:
        """The bytes in memory."""
        return struct.pack("<QHHBBH", *self)

    @classmethod
    def unpack(cls, data: bytes) -> RxLegacy:
        """From the bytes in memory."""
        return cls(*struct.unpack("<QHHBBH", data))


class TxLegacy(NamedTuple):
    """Legacy transmit (7.2.3.2.2). ``command``: TXD_CMD_*, in place."""

    address: int
    length: int = 0
    command: int = 0
    checksum_offset: int = 0
    checksum_start: int = 0
    vlan: int = 0
    done: int = 0

    def pack(self) -> bytes:
        """The bytes in memory."""
        lower = _fits(self.length, 0, TXD_LEN_MASK) | _fits(self.checksum_offset, TXD_CSO_SHIFT, TXD_CSO_MASK)
        upper = (
            self.done | _fits(self.checksum_start, TXD_CSS_SHIFT, TXD_CSS_MASK) | self.vlan << TXD_VLAN_SHIFT
        )
        return _QUADS.pack(self.address, lower | self.command | upper << 32)

    @classmethod
    def unpack(cls, data: bytes) -> TxLegacy:
        """From the bytes in memory."""
        address, word = _QUADS.unpack(data)
        lower, upper = word & 0xFFFF_FFFF, word >> 32
        return cls(
            address,
            lower & TXD_LEN_MASK,
            lower & 0xFF00_0000,
            (lower & TXD_CSO_MASK) >> TXD_CSO_SHIFT,
            (upper & TXD_CSS_MASK) >> TXD_CSS_SHIFT,
            upper >> TXD_VLAN_SHIFT,
            upper & TXD_STAT_DD,
        )


class TxData(NamedTuple):
    """Advanced transmit, data (7.2.3.2.4).

    ``command``: TXD_CMD_* without DEXT, and TXD_MAC_*. ``options``: TXD_CC and TXD_POPTS_*. All in place.
    """

    address: int
    length: int
    command: int = 0
    context: int = 0
    options: int = 0
    total: int = 0  # PAYLEN: of the whole packet without FCS, or of the payload with TSE
    done: int = 0

    def pack(self) -> bytes:
        """The bytes in memory."""
        lower = _fits(self.length, 0, TXD_LEN_MASK) | TXD_DTYP_DATA | TXD_CMD_DEXT | self.command
        upper = _fits(self.context, TXD_IDX_SHIFT, TXD_IDX_MASK) | self.options | self.done
        upper |= _fits(self.total, TXD_PAYLEN_SHIFT, TXD_PAYLEN_MASK)
        return _QUADS.pack(self.address, lower | upper << 32)

    @classmethod
    def unpack(cls, data: bytes) -> TxData:
        """From the bytes in memory."""
        address, word = _QUADS.unpack(data)
        lower, upper = word & 0xFFFF_FFFF, word >> 32
        return cls(
            address,
            lower & TXD_LEN_MASK,
            lower & ~(TXD_LEN_MASK | TXD_DTYP_MASK | TXD_CMD_DEXT),
            (upper & TXD_IDX_MASK) >> TXD_IDX_SHIFT,
            upper & ~(TXD_IDX_MASK | TXD_PAYLEN_MASK | TXD_STAT_DD),
            upper >> TXD_PAYLEN_SHIFT,
            upper & TXD_STAT_DD,
        )


class TxContext(NamedTuple):
    """Advanced transmit, context (7.2.3.2.3). The NIC never writes it back.

    ``command``: TXC_TUCMD_*, in place. Lengths in bytes.
    """

    mac_length: int = 0
    ip_length: int = 0
    vlan: int = 0
    command: int = 0
    context: int = 0
    l4_length: int = 0
    mss: int = 0

    def pack(self) -> bytes:
        """The bytes in memory."""
        lengths = _fits(self.ip_length, 0, TXC_IPLEN_MASK) | _fits(
            self.mac_length, TXC_MACLEN_SHIFT, TXC_MACLEN_MASK
        )
        slot = _fits(self.context, TXC_IDX_SHIFT, TXC_IDX_MASK)
        slot |= _fits(self.l4_length, TXC_L4LEN_SHIFT, TXC_L4LEN_MASK) | self.mss << TXC_MSS_SHIFT
        return _WORDS.pack(
            lengths | self.vlan << TXC_VLAN_SHIFT, 0, self.command | TXD_DTYP_CTX | TXD_CMD_DEXT, slot
        )

    @classmethod
    def unpack(cls, data: bytes) -> TxContext:
        """From the bytes in memory."""
        lengths, _, command, slot = _WORDS.unpack(data)
        return cls(
            (lengths & TXC_MACLEN_MASK) >> TXC_MACLEN_SHIFT,
            lengths & TXC_IPLEN_MASK,
            lengths >> TXC_VLAN_SHIFT,
            command & ~(TXD_DTYP_MASK | TXD_CMD_DEXT),
            (slot & TXC_IDX_MASK) >> TXC_IDX_SHIFT,
            (slot & TXC_L4LEN_MASK) >> TXC_L4LEN_SHIFT,
            slot >> TXC_MSS_SHIFT,
        )


def unpack_tx(data: bytes) -> TxLegacy | TxData | TxContext:
    """A transmit descriptor of whichever kind it is. ValueError for an advanced one of an unknown DTYP."""
    lower = int.from_bytes(data[8:12], "little")
    if not lower & TXD_CMD_DEXT:
        return TxLegacy.unpack(data)
    kinds: dict[int, type[TxData] | type[TxContext]] = {TXD_DTYP_DATA: TxData, TXD_DTYP_CTX: TxContext}
    kind = kinds.get(lower & TXD_DTYP_MASK)
    if kind is None:
        raise ValueError(f"DTYP {(lower & TXD_DTYP_MASK) >> TXD_DTYP_SHIFT} is reserved (datasheet 7.2.3.2)")
    return kind.unpack(data)


def _fits(value: int, shift: int, mask: int) -> int:
    """The value in its place. ValueError if it does not fit."""
    if value < 0 or value << shift & ~mask:
        raise ValueError(f"{value:#x} does not fit in the descriptor's bits {mask:#010x}")
    return value << shift
