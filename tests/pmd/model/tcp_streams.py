# SPDX-License-Identifier: BSD-3-Clause
"""Random TCP traffic for what merges packets, and what must be left of it: each connection's bytes in their order."""

from dataclasses import dataclass

from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Raw

from tests.pmd.model.merging import tcp
from tests.pmd.model.rig import MAC, PEER

FLOWS = 4


@dataclass
class Action:
    """The next action of one connection."""

    flow: int
    size: int
    how: str  # goes on; loses what it sends; sends its last one again; sends the one after next first; and others
    flags: str
    pause: int  # us before it


actions = st.builds(
    Action,
    flow=st.integers(0, FLOWS - 1),
    size=st.sampled_from([0, 1, 6, 7, 100, 536, 1000, 1390, 1400]),
    how=st.sampled_from(["on"] * 8 + ["lose", "again", "swap", "udp", "ipv6", "options", "tos"]),
    flags=st.sampled_from(["A"] * 8 + ["PA", "FA", "SA", ""]),
    pause=st.sampled_from([0] * 6 + [30, 300]),
)


class Sender:
    """Makes the frames of a list of actions."""

    def __init__(self, stamped, tagged):
        self.stamped, self.tagged = stamped, tagged
        self.next = [0xFFFFFF00 * (flow % 2) for flow in range(FLOWS)]  # half of them wrap soon
        self.last = [None] * FLOWS
        self.clock = 0

    def segment(self, flow, size, flags="A", **more):
        self.clock += 1
        text = bytes((self.next[flow] + 7 * i + flow) & 0xFF for i in range(size))
        made = tcp(
            self.next[flow], text, flow=flow, flags=flags, stamp=self.clock if self.stamped[flow] else None,
            vid=self.tagged[flow], ack=self.clock, window=500 + self.clock, id=self.clock, **more,
        )  # fmt: skip
        self.next[flow] += size
        return bytes(made)

    def frames(self, action):
        flow, size = action.flow, action.size
        if action.how == "lose":
            self.next[flow] += size
            return []
        if action.how == "again" and self.last[flow]:
            return [self.last[flow]]
        if action.how == "udp":
            return [bytes(Ether(dst=MAC, src=PEER) / IP() / UDP() / Raw(bytes(size)))]
        if action.how == "ipv6":
            return [
                bytes(
                    Ether(dst=MAC, src=PEER)
                    / IPv6()
                    / TCP(seq=self.next[flow] & 0xFFFFFFFF)
                    / Raw(bytes(size))
                )
            ]
        if action.how == "options":
            self.clock += (
                1  # ids and acknowledgements tell a judge which frame it sees: no two frames share one
            )
            head = IP(src="10.0.0.1", dst="10.0.0.2", options=b"\x01" * 4, id=self.clock) / TCP(
                sport=1000 + flow, dport=80, seq=self.next[flow] & 0xFFFFFFFF, ack=self.clock
            )
            self.next[flow] += size
            return [bytes(Ether(dst=MAC, src=PEER) / head / Raw(bytes(size)))]
        more = {"tos": 3} if action.how == "tos" else {}
        first = self.segment(flow, size, action.flags, **more)
        if action.how == "swap":
            second = self.segment(flow, size)
            self.last[flow] = first
            return [second, first]
        self.last[flow] = first
        return [first]


def key(packet):
    return (packet[Dot1Q].vlan if Dot1Q in packet else None, packet[IP].src, packet[TCP].sport)


def joined(packets):
    """Per connection: runs of bytes that follow each other, as [where they start, the bytes], in order of arrival."""
    runs = {}
    for packet in packets:
        payload = bytes(packet[TCP].payload)[: packet[IP].len - packet[IP].ihl * 4 - packet[TCP].dataofs * 4]
        mine = runs.setdefault(key(packet), [])
        if mine and (mine[-1][0] + len(mine[-1][1])) & 0xFFFFFFFF == packet[TCP].seq:
            mine[-1][1] += payload
        elif payload:
            mine.append([packet[TCP].seq, payload])
    return runs


def parsed(frames):
    return [packet for packet in map(Ether, frames) if IP in packet and TCP in packet]
