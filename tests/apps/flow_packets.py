# SPDX-License-Identifier: BSD-3-Clause
"""Random scapy packets with sets in their fields, for the tests of flows and of what sends them."""

import ipaddress

from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Raw


def shorts(most=0xFFFF):
    """A 16-bit field: one value, a range, or a list of values and ranges."""
    value = st.integers(0, most)
    span = st.tuples(value, st.integers(0, 3)).map(lambda pair: (pair[0], min(pair[0] + pair[1], most)))
    stepped = st.tuples(st.integers(0, most - 8), st.integers(2, 4)).map(
        lambda pair: (pair[0], pair[0] + 8, pair[1])
    )
    return st.one_of(value, span, stepped, st.lists(st.one_of(value, span), min_size=1, max_size=3))


def networks(version):
    bits = 32 if version == 4 else 128
    address = st.integers(0, (1 << bits) - 1).map(
        lambda n: str((ipaddress.IPv4Address, ipaddress.IPv6Address)[version == 6](n))
    )
    one = st.one_of(
        address, st.tuples(address, st.integers(bits - 2, bits)).map(lambda pair: f"{pair[0]}/{pair[1]}")
    )
    return st.one_of(one, st.lists(one, min_size=1, max_size=3))


macs = st.integers(0, (1 << 48) - 1).map(lambda n: ":".join(f"{byte:02x}" for byte in n.to_bytes(6, "big")))
payloads = st.one_of(
    st.none(),
    st.binary(max_size=5).map(Raw),
    st.lists(st.binary(min_size=1, max_size=4), min_size=1, max_size=3).map(lambda loads: Raw(load=loads)),
)


@st.composite
def packets(draw):
    packet = Ether(src=draw(st.one_of(macs, st.lists(macs, min_size=1, max_size=2))), dst=draw(macs))
    if draw(st.booleans()):
        packet /= Dot1Q(vlan=draw(shorts(0xFFF)), prio=draw(st.integers(0, 7)))
    if draw(st.booleans()):
        packet /= IP(dst=draw(networks(4)), src=draw(networks(4)), ttl=draw(st.integers(0, 255)))
        echo = ICMP(
            type=draw(st.sampled_from([0, 8, 13, [0, 8, 13], (11, 13)])),
            id=draw(shorts()),
            seq=draw(shorts()),
        )
    else:
        packet /= IPv6(src=draw(networks(6)), dst=draw(networks(6)), fl=draw(shorts()))
        echo = ICMPv6EchoRequest(id=draw(shorts()), seq=draw(shorts()))
    packet /= draw(
        st.sampled_from(
            [
                UDP(sport=draw(shorts()), dport=draw(shorts())),
                TCP(dport=draw(shorts()), seq=draw(shorts()), flags=draw(st.sampled_from(["S", "PA"]))),
                echo,
            ]
        )
    )
    payload = draw(payloads)
    return packet if payload is None else packet / payload
