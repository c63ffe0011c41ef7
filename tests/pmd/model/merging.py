# SPDX-License-Identifier: BSD-3-Clause
"""A queue that merges (RSC), as a driver without mercy reads it; and TCP to send to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Packet, Raw

from dataplane.pmd.datasheet import EITR, IVAR, PSRTYPE, RDRXCTL, RSCCTL, RSCDBU, SRRCTL
from tests.pmd.model.rig import MAC, PEER, Port, RxQueue, pair, peek, poke

WAIT_NS = 100 * 2048


def tcp(
    seq: int,
    data: bytes,
    *,
    flow: int = 0,
    flags: str = "A",
    stamp: int | None = None,
    vid: int | None = None,
    **more: int,
) -> Packet:
    """A segment of connection `flow`. more: fields of IP (tos, ttl, id) and of TCP (ack, window)."""
    ether = Ether(dst=MAC, src=PEER)
    if vid is not None:
        ether /= Dot1Q(vlan=vid)
    options = [] if stamp is None else [("NOP", None), ("NOP", None), ("Timestamp", (stamp, stamp + 1))]
    ip = {key: value for key, value in more.items() if key in ("tos", "ttl", "id")}
    rest = {key: value for key, value in more.items() if key not in ip}
    head = IP(src="10.0.0.1", dst="10.0.0.2", **ip) / TCP(
        sport=1000 + flow, dport=80, seq=seq & 0xFFFFFFFF, flags=flags, options=options, **rest
    )
    return ether / head / Raw(data) if data else ether / head


@dataclass
class Large:
    """A packet out of as many descriptors as it has: `counts` are their RSCCNT, `slots` their places."""

    data: bytes
    slots: list[int]
    counts: list[int]
    status: int = 0
    vlan: int = 0
    info: int = 0
    sizes: list[int] = field(default_factory=list)

    @property
    def merged(self) -> int:
        """How many packets it was; 0: it was not merged."""
        return sum(count - 1 for count in self.counts if count)


class MergingQueue(RxQueue):
    """An Rx queue with RSC on; `take` follows NEXTP."""

    def __init__(
        self, port: Port, index: int = 0, n: int = 64, *, most: int = 3, wait: int = 100, kib: int = 2, rxdctl: int = 0,
        header: int = 4, stamps: bool = True, drop: int = 0, ready: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(port, index, n, kib=kib, rxdctl=rxdctl, drop=drop)
        if ready:
            ready_to_merge(port)
        port.write(EITR[index + 1], wait << 3)
        shift = 16 * (index & 1)
        word = port.read(IVAR[index // 2]) & ~(0xFF << shift)
        port.write(IVAR[index // 2], word | (0x80 | index + 1) << shift)
        port.write(SRRCTL[index], kib | header << 8 | drop << 28 | 1 << 25)
        port.write(RSCCTL[index], RSCCTL[index].pack(RSCEN=1, TS_DIS=int(not stamps), MAXDESC=most))
        self.open: dict[int, Large] = {}
        self.done: set[int] = set()

    def take_large(self, refill: bool = True) -> list[Large]:
        """Every whole packet that is there, in the order in which they end."""
        whole = []
        while True:
            at = self.next
            low, high = self.raw(at)
            if not high & 1:
                return whole
            count, length, last = low >> 17 & 0xF, high >> 32 & 0xFFFF, high >> 1 & 1
            large = self.open.pop(at, None) or Large(b"", [], [])
            large.data += peek(self.room, length, at * self.size) if large.slots else b""
            large.slots.append(at), large.counts.append(count), large.sizes.append(length)
            self.next = (at + 1) % self.n
            if last:
                # Only now: the header is written at the very end.
                large.data = peek(self.room, large.sizes[0], large.slots[0] * self.size) + large.data
                large.status, large.vlan, large.info = high & 0xFFFFFFFF, high >> 48, low & 0xFFFFFFFF
                whole.append(large)
                if refill:
                    self.free(large.slots)
            else:
                then = high >> 4 & 0xFFFF if count else self.next
                assert then not in self.open and then < self.n
                self.open[then] = large

    def free(self, slots: list[int]) -> None:
        """Descriptors go back in the ring's order, once those before them have."""
        self.done |= set(slots)
        while (at := (self.tail + 1) % self.n) in self.done:
            self.done.discard(at)
            poke(self.ring, bytes(16), at * 16)
            self.give(1)


def ready_to_merge(port: Port) -> None:
    """4.6.7.2: what all queues share."""
    port.write(PSRTYPE[0], PSRTYPE[0].pack(TCP=1))
    port.write(RDRXCTL, RDRXCTL.pack(CRCSTRIP=1, RSCACKC=1, FCOE_WRFIX=1))
    port.write(RSCDBU, RSCDBU.pack(RSCACKDIS=1))


def data(n: int, size: int = 1000) -> bytes:
    """Bytes of the n-th segment."""
    return bytes((n * 37 + 11 * i) & 0xFF for i in range(size))


def stream(count: int, size: int = 1000, **more: Any) -> list[Packet]:
    """The segments of a connection, in order."""
    return [tcp(1 + size * n, data(n, size), **more) for n in range(count)]


class Wire:
    """A port that merges, and who sends to it."""

    def __init__(self) -> None:
        self.a, self.b = pair(4 << 20)
        self.a.tx_queue(n=256)

    def send(self, *packets: Packet) -> None:
        """All in one step of the receiver."""
        for packet in packets:
            self.a.tx[0].send(bytes(packet))
        self.a.step()
        self.b.step()

    def later(self, ns: int = WAIT_NS) -> None:
        self.b.clock.advance_ns(ns)
        self.b.step()
