# SPDX-License-Identifier: BSD-3-Clause
"""Checksums finished and large frames cut, compared with those that scapy computes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt
from scapy.layers.l2 import Dot1Q, Ether
from scapy.layers.sctp import SCTP, SCTPChunkData
from scapy.layers.vxlan import VXLAN

from dataplane.errors import ConfigError
from dataplane.pmd.virtual.offload import finished, segments

ETHER = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
IPS = {
    "v4": IP(src="10.1.2.3", dst="10.3.2.1", id=65534, flags="DF"),
    "v4 options": IP(src="10.1.2.3", dst="10.3.2.1", id=7, options=[("NOP"), ("NOP"), ("NOP"), ("NOP")]),
    "v6": IPv6(src="fd00::1", dst="fd00::2"),
    "v6 options": IPv6(src="fd00::1", dst="fd00::2") / IPv6ExtHdrDestOpt(),
    "v4 tagged": Dot1Q(vlan=5) / IP(src="10.1.2.3", dst="10.3.2.1"),
}
TCP_HEADER = TCP(sport=1, dport=2, seq=0xFFFFFF00, ack=5, flags="PACEF", options=[("Timestamp", (1, 2))])


def rebuilt(frame):
    """The frame with every length and checksum computed again by scapy."""
    packet = Ether(frame)
    for layer in (IP, IPv6, TCP, UDP):
        if layer in packet:
            for name in ("len", "plen", "chksum"):
                if name in packet[layer].fields:
                    delattr(packet[layer], name)
    return bytes(packet)


def l4_offset(packet, layer):
    return len(packet) - len(packet[layer])


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(IPS)), st.sampled_from(["tcp", "udp"]), st.binary(max_size=600))
def test_a_finished_checksum_is_scapys(ip, protocol, payload):
    packet = Ether(bytes(ETHER / IPS[ip] / (TCP_HEADER if protocol == "tcp" else UDP()) / payload))
    layer, offset = (TCP, 16) if protocol == "tcp" else (UDP, 6)
    wanted = bytes(packet)
    start = l4_offset(packet, layer)
    # The kernel leaves the folded sum of the pseudo header there: what the finished sum lacks of it.
    total = sum(
        int.from_bytes((wanted[start:] + b"\0")[k : k + 2], "big") for k in range(0, len(wanted) - start, 2)
    )
    checksum = int.from_bytes(wanted[start + offset : start + offset + 2], "big")
    pseudo = (~checksum & 0xFFFF) - (total - checksum)
    pseudo %= 0xFFFF
    half = wanted[: start + offset] + pseudo.to_bytes(2, "big") + wanted[start + offset + 2 :]
    done = finished(half, start, offset)
    assert done == wanted or (wanted[start + offset : start + offset + 2] in (b"\0\0", b"\xff\xff"))


def test_sctp_gets_its_crc():
    packet = ETHER / IP() / SCTP(sport=1, dport=2) / SCTPChunkData(data=b"payload!")
    wanted = bytes(packet)
    start = 34
    blank = wanted[: start + 8] + b"\xde\xad\xbe\xef" + wanted[start + 12 :]
    assert finished(blank, start, 8) == wanted


def test_a_checksum_outside_the_frame_is_refused():
    for start, offset in ((34, 26), (60, 16), (49, 8), (65535, 16)):
        with pytest.raises(ConfigError):
            finished(bytes(60), start, offset)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(IPS)),
    st.sampled_from(["tcp", "udp"]),
    st.integers(1, 9000),
    st.integers(500, 2000),
    st.booleans(),
)
def test_segments_are_what_scapy_would_have_sent(ip, protocol, length, size, tagged):
    payload = bytes(n * 7 & 0xFF for n in range(length))
    packet = Ether(bytes(ETHER / IPS[ip] / (TCP_HEADER if protocol == "tcp" else UDP(sport=1)) / payload))
    layer = TCP if protocol == "tcp" else UDP
    gso_type = 5 if protocol == "udp" else 4 if "v6" in ip else 1
    tag = b"\x81\x00\x20\x07" if tagged else b""
    made = segments(bytes(packet), gso_type, size, l4_offset(packet, layer), tag)
    assert len(made) == -(-length // size)
    headers = len(packet) - length
    assert b"".join(frame[headers + len(tag) :] for frame in made) == payload
    for n, frame in enumerate(made):
        assert frame[12 : 12 + len(tag)] == tag
        assert frame == rebuilt(frame)
        segment, last = Ether(frame), n == len(made) - 1
        if "v6" not in ip:
            assert segment[IP].id == (packet[IP].id + n) % 65536
        if protocol == "tcp":
            assert segment[TCP].seq == (0xFFFFFF00 + n * size) % 2**32
            assert ("F" in segment[TCP].flags, "P" in segment[TCP].flags) == (last, last)
            assert ("C" in segment[TCP].flags) == (n == 0)
            assert segment[TCP].options == packet[TCP].options


def test_what_cannot_be_cut_is_refused():
    tcp = bytes(ETHER / IP() / TCP() / bytes(5000))
    assert segments(tcp, 1, 1448, 34) is not None
    assert segments(tcp, 3, 1448, 34) is None  # IP fragments, which Linux no longer sends
    assert segments(tcp, 1, 0, 34) is None
    assert segments(tcp, 1, 1448, 38) is None  # not where the IP header ends
    assert segments(tcp, 5, 1448, 34) is None  # not UDP
    assert segments(tcp[:40], 1, 1448, 34) is None
    assert segments(tcp[:46] + b"\x10" + tcp[47:], 1, 1448, 34) is None  # a TCP header of 4 bytes
    assert segments(bytes(5000), 1, 1448, 34) is None
    tunnel = ETHER / IP() / UDP(dport=4789) / VXLAN() / ETHER / IP() / TCP() / bytes(5000)
    assert segments(bytes(tunnel), 1, 1448, len(tunnel) - 5020) is None


@settings(max_examples=200, deadline=None)
@given(st.binary(min_size=14, max_size=200), st.sampled_from([1, 4, 5]), st.integers(0, 250))
def test_noise_is_cut_or_refused_but_never_read_past_its_end(noise, gso_type, l4):
    made = segments(noise, gso_type, 10, l4)
    assert made is None or all(10 < len(segment) <= len(noise) for segment in made)
