# SPDX-License-Identifier: BSD-3-Clause
"""Frames for hypothesis: of every kind the parser knows, right, wrong and cut short."""

from __future__ import annotations

from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.l2 import Dot1Q, Ether
from scapy.layers.sctp import SCTP, SCTPChunkData
from scapy.packet import Raw

from tests.pmd.model.rig import MAC, PEER

ports = st.integers(0, 65535)


@st.composite
def packets(draw: st.DrawFn) -> bytes:
    """A frame without FCS, 60 bytes at least: Ethernet to MAC, maybe a tag, maybe IP, maybe more; maybe damaged."""
    layers = Ether(dst=MAC.hex(":"), src=PEER.hex(":"))
    if draw(st.booleans()):
        layers /= Dot1Q(
            vlan=draw(st.integers(0, 4095)), prio=draw(st.integers(0, 7)), dei=draw(st.integers(0, 1))
        )
    body = Raw(draw(st.binary(max_size=64)))
    l4 = draw(
        st.sampled_from(
            [
                lambda: UDP(sport=draw(ports), dport=draw(ports)) / body,
                lambda: UDP(sport=draw(ports), dport=draw(ports), chksum=0) / body,
                lambda: TCP(sport=draw(ports), dport=draw(ports), flags=draw(st.integers(0, 63))) / body,
                lambda: SCTP(sport=draw(ports), dport=draw(ports)) / SCTPChunkData(data=body.load),
                lambda: ICMP() / body,
                lambda: body,
            ]
        )
    )()
    protocol = draw(st.sampled_from([None, None, None, 50, 51, 4]))
    kind = draw(st.sampled_from(["4", "4", "4", "6", "6", "none"]))
    if kind == "4":
        ip = IP(src=f"10.1.{draw(st.integers(0, 255))}.7", dst=f"192.168.0.{draw(st.integers(0, 255))}")
        if protocol is not None:
            ip.proto = protocol
        if draw(st.integers(0, 4)) == 0:
            ip.options = bytes([1] * 4 * draw(st.integers(1, 10)))
        if draw(st.integers(0, 5)) == 0:
            ip.flags, ip.frag = draw(st.sampled_from([("MF", 0), ("", 5), ("MF", 9), ("DF", 0)]))
        layers /= ip / l4
    elif kind == "6":
        layers /= IPv6(src=f"2001:db8::{draw(st.integers(0, 65535)):x}", dst="2001:db8::2")
        for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
            layers /= draw(
                st.sampled_from(
                    [
                        IPv6ExtHdrHopByHop(),
                        IPv6ExtHdrDestOpt(),
                        IPv6ExtHdrRouting(addresses=["2001:db8::9"]),
                        IPv6ExtHdrFragment(offset=0, m=0),
                        IPv6ExtHdrFragment(offset=3, m=1),
                    ]
                )
            )
        layers /= l4
    else:
        layers.type = draw(st.sampled_from([0x0806, 0x88B5, 0x8847, 0x0800, 0x86DD]))
        layers /= body
    data = bytearray(bytes(layers))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        at = draw(st.integers(12, len(data) - 1))
        data[at] ^= 1 << draw(st.integers(0, 7))
    if draw(st.integers(0, 7)) == 0:
        del data[draw(st.integers(14, len(data))) :]
    return bytes(data).ljust(60, b"\0")
