# SPDX-License-Identifier: BSD-3-Clause
"""Checksums of generated frames, added up again word by word (RFC 1071): the generator's arithmetic is not asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dataplane import App, Pipeline

IPV4, UDP, TCP = 0x0800, 17, 6


@dataclass(frozen=True)
class FlowAddresses:
    """What a frame says of itself: addresses and ports as numbers."""

    src: int
    dst: int
    sport: int
    dport: int


def ones_sum(data: bytes) -> int:
    """The 16-bit words of it added up in ones' complement: 0xFFFF if its checksum is in it, and right."""
    total = sum(np.frombuffer(data + b"\0" * (len(data) % 2), ">u2").tolist())
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def checked(frame: bytes) -> FlowAddresses:
    """The flow of an untagged frame of UDP or TCP over IPv4. Raises ValueError if a length or a sum is not right."""
    kind, header = int.from_bytes(frame[12:14], "big"), (frame[14] & 15) * 4
    packet = frame[14 : 14 + int.from_bytes(frame[16:18], "big")]
    datagram, proto = packet[header:], packet[9]
    if kind != IPV4 or frame[14] >> 4 != 4 or proto not in (UDP, TCP):
        raise ValueError(f"not UDP or TCP over IPv4: {frame.hex()}")
    if len(packet) != int.from_bytes(frame[16:18], "big"):
        raise ValueError(f"shorter than its IPv4 header says: {frame.hex()}")
    if proto == UDP and int.from_bytes(datagram[4:6], "big") != len(datagram):
        raise ValueError(f"UDP and IPv4 disagree about its length: {frame.hex()}")
    if ones_sum(packet[:header]) != 0xFFFF:
        raise ValueError(f"the IPv4 header's checksum is wrong: {frame.hex()}")
    if proto == UDP and datagram[6:8] == bytes(2):
        raise ValueError(f"UDP has no checksum: {frame.hex()}")
    if ones_sum(packet[12:20] + bytes((0, proto)) + len(datagram).to_bytes(2, "big") + datagram) != 0xFFFF:
        raise ValueError(f"the checksum of layer 4 is wrong: {frame.hex()}")
    src, dst, sport, dport = packet[12:16], packet[16:20], datagram[:2], datagram[2:4]
    return FlowAddresses(*(int.from_bytes(each, "big") for each in (src, dst, sport, dport)))


class Inspector(App):
    """Reads a packet of every `every`, in what passes: `flows` are theirs. Raises ValueError for one that is wrong."""

    edges = ("out",)

    def __init__(self, every: int = 1) -> None:
        self.every = every
        self.seen = 0
        self.flows: list[FlowAddresses] = []

    def process(self, burst: Any) -> None:
        """A packet goes on whatever it is: what is wrong ends the run."""
        first = -self.seen % self.every
        self.flows += [checked(bytes(burst[n])) for n in range(first, len(burst), self.every)]
        self.seen += len(burst)


def inspect(generator: Any, tx: Any, packets: int, every: int = 1) -> list[FlowAddresses]:
    """The flows in so many packets of a generator on their way to a Tx queue, of every so many one."""
    inspector = Inspector(every)
    Pipeline(generator >> inspector >> tx).run(count=packets)
    return inspector.flows
