# SPDX-License-Identifier: BSD-3-Clause
"""The flow director: thousands of perfect filters under one set of masks (datasheet 7.1.2.7, 8.2.3.21)."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network

from dataplane.pmd.datasheet import (
    BUCKET_HASH_KEY,
    CMD_ADD,
    CMD_REMOVE,
    FDIRCMD,
    FDIRCTRL,
    FDIRDIP4M,
    FDIRFREE,
    FDIRHASH,
    FDIRHKEY,
    FDIRIPDA,
    FDIRIPSA,
    FDIRM,
    FDIRPORT,
    FDIRSIP4M,
    FDIRSKEY,
    FDIRTCPM,
    FDIRUDPM,
    FDIRVLAN,
    L4TYPE_NONE,
    L4TYPE_SCTP,
    L4TYPE_TCP,
    L4TYPE_UDP,
    SIGNATURE_HASH_KEY,
)
from dataplane.pmd.function import Bar
from dataplane.pmd.ixgbe.steering.flow import Match

__all__ = ["Director", "Mask", "bucket", "capacity"]

_TYPES = {"tcp": L4TYPE_TCP, "udp": L4TYPE_UDP, "sctp": L4TYPE_SCTP, "other": L4TYPE_NONE}
_WORD = 0xFFFF_FFFF
LARGEST = 3  # FDIRCTRL.PBALLOC: 64 KB, 128 KB, 256 KB
DROP_LIST = 10  # filters of one bucket above which matches are flagged, halved in the register


def capacity(memory: int) -> int:
    """7.1.2.7: filters that PBALLOC = memory has room for: 2 K each 64 KB, two of which the chip keeps."""
    return (1024 << memory) - 2 if memory else 0


@dataclass(frozen=True, slots=True)
class Mask:
    """What all filters compare: prefix lengths of the addresses, and whether the rest counts."""

    src: int
    dst: int
    src_port: bool
    dst_port: bool
    proto: bool
    vlan: bool

    @classmethod
    def of(cls, match: Match) -> Mask:
        """The mask that a match needs."""
        src, dst = (0 if each is None else each.prefixlen for each in (match.src, match.dst))
        rest = (match.src_port, match.dst_port, match.proto, match.vlan)
        return cls(src, dst, *(each is not None for each in rest))

    def __str__(self) -> str:
        words = [f"{name}/{bits}" for name, bits in (("src", self.src), ("dst", self.dst)) if bits]
        words += [name for name in ("proto", "src_port", "dst_port", "vlan") if getattr(self, name)]
        return " + ".join(words)


def bucket(match: Match, pool: int = 0) -> int:
    """7.1.2.7: the list that a filter belongs to: 15 bits of a hash over what it compares.

    Each bit of the key that is 1 adds 16 bits of the input, shifted; the input, 11 dwords, is folded beforehand.
    """
    flow = pool << 24 | _type(match) << 16 | (match.vlan or 0)
    common = _address(match.src) ^ _address(match.dst) ^ (match.src_port or 0) << 16 ^ (match.dst_port or 0)
    high = common ^ flow ^ flow >> 16
    first = (common >> 16 | common << 16) & _WORD  # the first dword does not meet the lowest bit of the key
    low = first ^ flow ^ (flow << 16 & _WORD)
    found = 0
    for bit in range(16):
        if BUCKET_HASH_KEY >> bit & 1:
            found ^= low >> bit if bit else first
        if BUCKET_HASH_KEY >> 16 + bit & 1:
            found ^= high >> bit
    return found & 0x7FFF


def _type(match: Match) -> int:
    return _TYPES[match.proto] if match.proto else 0


def _address(network: IPv4Network | None) -> int:
    return 0 if network is None else int(network.network_address)


def _as_sent(number: int) -> int:
    """A dword that lies in the packet in network order."""
    return int.from_bytes(number.to_bytes(4, "big"), "little")


class Director:
    """Its registers. pool: whose packets alone it looks at; None: there are no pools."""

    def __init__(self, bar: Bar, pool: int | None) -> None:
        self.bar, self.pool = bar, pool

    def set_up(self, memory: int, drop_queue: int) -> None:
        """8.2.3.21: an empty table; the packet buffers have left it its memory, and reception is off."""
        bar = self.bar
        bar.write(FDIRHKEY, BUCKET_HASH_KEY)
        bar.write(FDIRSKEY, SIGNATURE_HASH_KEY)
        bar.write(FDIRFREE, 0)
        bar.set(FDIRCMD.CLEARHT)
        bar.clear(FDIRCMD.CLEARHT)
        bar.write(FDIRHASH, 0)
        # The descriptor's hash stays RSS's: FDIRCTRL.REPORT_STATUS would take its place.
        control = FDIRCTRL.pack(PBALLOC=memory, PERFECT_MATCH=1, DROP_Q=drop_queue, MAX_LENGTH=DROP_LIST // 2)
        bar.write(FDIRCTRL, control)
        bar.wait(FDIRCTRL.INIT_DONE, timeout=0.01)

    def set_mask(self, mask: Mask) -> None:
        """8.2.3.21: a 1 ignores. Only while there are no filters."""
        bar = self.bar
        bar.write(
            FDIRM,
            FDIRM.pack(
                VLANID=not mask.vlan, VLANP=1, POOL=self.pool is None, L4P=not mask.proto, FLEX=1, DIPV6=1
            ),
        )
        bar.write(FDIRSIP4M, _as_sent(_WORD >> mask.src))
        bar.write(FDIRDIP4M, _as_sent(_WORD >> mask.dst))
        for register in (FDIRTCPM, FDIRUDPM):  # bits in reverse, which is the same for all or none
            ports = {"SPORT": 0 if mask.src_port else 0xFFFF, "DPORT": 0 if mask.dst_port else 0xFFFF}
            bar.write(register, register.pack(**ports))

    def add(self, match: Match, number: int, queue: int, drop: bool) -> None:
        """7.1.2.7: one filter; number: software's name for it, by which it is removed."""
        bar = self.bar
        bar.write(FDIRIPSA, _as_sent(_address(match.src)))
        bar.write(FDIRIPDA, _as_sent(_address(match.dst)))
        bar.write(FDIRPORT, FDIRPORT.pack(SPORT=match.src_port or 0, DPORT=match.dst_port or 0))
        bar.write(FDIRVLAN, FDIRVLAN.pack(VLAN=match.vlan or 0))
        self._command(
            match, number, CMD_ADD,
            LAST=1, QUEUE_EN=1, RX_QUEUE=queue, DROP=int(drop), L4TYPE=_type(match), POOL=self.pool or 0,
        )  # fmt: skip

    def remove(self, match: Match, number: int) -> None:
        """7.1.2.7: found by its bucket and its number."""
        self._command(match, number, CMD_REMOVE)

    def _command(self, match: Match, number: int, command: int, **fields: int) -> None:
        bar = self.bar
        bar.write(FDIRHASH, FDIRHASH.pack(HASH=bucket(match, self.pool or 0), SWINDEX=number))
        bar.write(FDIRCMD, FDIRCMD.pack(CMD=command, **fields))
        bar.wait(FDIRCMD.CMD, 0, timeout=1e-3, interval=1e-5)
