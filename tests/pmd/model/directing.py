# SPDX-License-Identifier: BSD-3-Clause
"""A flow director's driver for tests, and its hash bit by bit: written apart from both the model and the driver."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

from dataplane.pmd.datasheet import (
    BUCKET_HASH_KEY,
    CMD_ADD,
    CMD_QUERY,
    CMD_REMOVE,
    FDIRCMD,
    FDIRCTRL,
    FDIRDIP4M,
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
    SIGNATURE_HASH_KEY,
)

KINDS = {"UDP": 1, "TCP": 2, "SCTP": 3, "other": 0}


def bit_hash(key: int, words: list[int]) -> int:
    """7.1.2.7: each bit of the key, repeated, that is 1 adds 16 bits of the stream from there on. words: 21 of 16 bits."""
    stream = sum(word << 16 * n for n, word in enumerate(words))
    twice = stream | stream << 336
    found = 0
    for n in range(1, 352):
        if key >> n % 32 & 1:
            found ^= twice >> n & 0xFFFF
    return found


@dataclass(frozen=True)
class Tuple:
    """Fields of a filter or a packet, as text and numbers. A mask has the same fields; its bits of 1 are compared."""

    src: str = "0.0.0.0"
    dst: str = "0.0.0.0"
    sport: int = 0
    dport: int = 0
    kind: int = 0  # KINDS; IPv6 adds 4
    vlan: int = 0
    flex: int = 0  # the first byte high
    pool: int = 0

    def masked(self, mask: Tuple) -> Tuple:
        def both(one: str, other: str) -> str:
            a, b = ip_address(one).packed, ip_address(other).packed
            return str(ip_address(bytes(x & y for x, y in zip(a, b, strict=True))))

        numbers = ("sport", "dport", "kind", "vlan", "flex", "pool")
        kept = {name: getattr(self, name) & getattr(mask, name) for name in numbers}
        return Tuple(both(self.src, mask.src), both(self.dst, mask.dst), **kept)

    def words(self) -> list[int]:
        """The input of the hash: 42 bytes, as 16-bit words."""
        addresses = b"".join(ip_address(text).packed.ljust(16, b"\0") for text in (self.dst, self.src))
        pairs = [int.from_bytes(addresses[n : n + 2], "big") for n in range(0, 32, 2)]
        return [self.vlan, self.pool << 8 | self.kind, *pairs, self.sport, self.dport, self.flex]

    def bucket(self) -> int:
        return bit_hash(BUCKET_HASH_KEY, self.words())

    def signature(self) -> int:
        return bit_hash(SIGNATURE_HASH_KEY, self.words()) & 0x7FFF


EVERYTHING = Tuple("255.255.255.255", "255.255.255.255", 0xFFFF, 0xFFFF, 7, 0xEFFF, 0xFFFF, 0x3F)


def dword(text: str) -> int:
    """An IPv4 address as it lies in the packet."""
    return int.from_bytes(ip_address(text).packed, "little")


def swapped(number: int) -> int:
    return int.from_bytes(number.to_bytes(2, "big"), "little")


def reverse(number: int) -> int:
    return int(f"{number:016b}"[::-1], 2)


class Director:
    """Writes registers of a port that has `write` and `read` for them."""

    def __init__(self, port, mask: Tuple = EVERYTHING, memory: int = 1, perfect: bool = True, **control: int):
        self.port, self.mask, self.perfect = port, mask, perfect
        write = port.write
        write(FDIRHKEY, BUCKET_HASH_KEY)
        write(FDIRSKEY, SIGNATURE_HASH_KEY)
        write(FDIRSIP4M, ~dword(mask.src) & 0xFFFFFFFF)
        write(FDIRDIP4M, ~dword(mask.dst) & 0xFFFFFFFF)
        ports = ~(reverse(mask.dport) << 16 | reverse(mask.sport)) & 0xFFFFFFFF
        write(FDIRTCPM, ports)
        write(FDIRUDPM, ports)
        ignored = {
            "VLANID": mask.vlan & 0xFFF, "VLANP": mask.vlan & 0xE000, "POOL": mask.pool, "L4P": mask.kind & 3,
            "FLEX": mask.flex, "DIPV6": 0,
        }  # fmt: skip
        write(FDIRM, FDIRM.pack(**{name: int(not bits) for name, bits in ignored.items()}))
        # An engine without a controller does what is stored: initialised at once.
        write(FDIRCTRL, FDIRCTRL.pack(PBALLOC=memory, PERFECT_MATCH=perfect, **control) | 1 << 3)

    def add(
        self, flow: Tuple, queue: int = 0, id: int = 0, bucket: int | None = None, **command: int
    ) -> None:
        flow = flow.masked(self.mask)
        write = self.port.write
        write(FDIRIPSA, dword(flow.src) if flow.kind < 4 else 0)
        write(FDIRIPDA, dword(flow.dst) if flow.kind < 4 else 0)
        write(FDIRPORT, FDIRPORT.pack(SPORT=flow.sport, DPORT=flow.dport))
        write(FDIRVLAN, FDIRVLAN.pack(VLAN=flow.vlan, FLEX=swapped(flow.flex)))
        self.hash(flow, id, bucket)
        fields = {"LAST": 1, "QUEUE_EN": 1, "RX_QUEUE": queue, "POOL": flow.pool} | command
        kind = {"L4TYPE": flow.kind & 3, "IPV6": flow.kind >> 2}
        write(FDIRCMD, FDIRCMD.pack(**fields, **kind) | CMD_ADD)

    def hash(self, flow: Tuple, id: int, bucket: int | None = None) -> None:
        bucket = flow.bucket() & 0x7FFF if bucket is None else bucket
        self.port.write(
            FDIRHASH, FDIRHASH.pack(HASH=bucket, SWINDEX=id if self.perfect else flow.signature())
        )

    def remove(self, flow: Tuple, id: int = 0) -> bool:
        self.hash(flow.masked(self.mask), id)
        self.port.write(FDIRCMD, CMD_REMOVE)
        return bool(FDIRCMD.VALID.extract(self.port.read(FDIRCMD)))

    def query(self, flow: Tuple, id: int = 0) -> int:
        """FDIRCMD afterwards; VALID says whether there is one."""
        self.hash(flow.masked(self.mask), id)
        self.port.write(FDIRCMD, CMD_QUERY)
        return int(self.port.read(FDIRCMD))
