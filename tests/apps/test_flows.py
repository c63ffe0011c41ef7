# SPDX-License-Identifier: BSD-3-Clause
"""Flows against scapy itself: the frames of a set expression are ``list(packet)``, byte for byte and in that
order.
"""

import time

import numpy as np
import pytest
from flow_packets import packets
from hypothesis import given, settings
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Raw
from scapy.volatile import RandIP, RandShort

from dataplane.apps.flows import Flows
from dataplane.errors import ConfigError

MACS = {"src": "02:00:00:00:00:09", "dst": "02:00:00:00:00:02"}


def reference(packet):
    return [bytes(each) for each in packet]


@given(packets())
@settings(max_examples=60, deadline=None)
def test_equals_scapy(packet):
    flows = Flows(packet)
    count = flows.count
    expected = []
    for each in packet:
        expected.append(bytes(each))
        if len(expected) == 64:
            break
    frames, lengths = flows.render(0, len(expected))
    assert [bytes(frame[:length]) for frame, length in zip(frames, lengths, strict=True)] == expected
    assert count >= len(expected)
    if len(expected) < 64:
        assert count == len(expected)


@pytest.mark.parametrize(
    "packet",
    [
        IP(src="1.2.3.4", dst="10.0.0.0/28") / UDP(sport=(1024, 1039)),
        IP(src="1.2.3.4", dst=["10.0.0.1", "10.1.0.0/30"]) / UDP(dport=[53, (80, 84, 2)]) / b"odd",
        IP(src="1.2.3.4", id=(0, 3), tos=[0, 184]) / TCP(seq=(0xFFFFFFFE, 0xFFFFFFFF)),
        IP(src="1.2.3.4") / ICMP(type=0, id=(0, 3)),  # all zero but for the id: a checksum of 0xFFFF
        IP(src="1.2.3.4", dst="10.0.0.0/30") / UDP(chksum=[0, 0x1234, None]),
        IP(src="1.2.3.4", len=[None, 33]) / UDP(sport=(1, 3)) / b"hello",
        IP(src="1.2.3.4", version=[4, 5], frag=(0, 3)) / UDP(),
        IP(src="1.2.3.4")
        / UDP()
        / VXLAN(vni=(1, 3))
        / Ether(**MACS)
        / IP(src="1.1.1.1", dst="2.2.2.0/30")
        / TCP(dport=(1, 3)),
        IPv6(src="::1", dst=["::2", "2001:db8::/126"], hlim=[1, 255]) / UDP(sport=(0, 4)) / b"x",
        ARP(psrc="10.0.0.1", pdst="10.0.0.0/29", hwsrc="02:00:00:00:00:01"),
        IP(src="1.2.3.4") / UDP(sport=(1, 3)) / Raw(load=["a", "bcd"]),
        Dot1Q(vlan=(1, 4), prio=(0, 7)) / Dot1Q(vlan=[5, 6]) / IP(src="1.1.1.1", dst="10.0.0.0/30"),
    ],
    ids=lambda packet: packet.summary(),
)
def test_equals_scapy_for(packet):
    packet = Ether(**MACS) / packet
    assert list(Flows(packet)) == reference(packet)


def test_order_is_scapys_order_of_assignment():
    """Keywords count in the header's order, later assignments after them; what came last turns slowest."""
    packet = Ether(**MACS) / IP(src="1.1.1.1", dst="2.2.2.2") / UDP(dport=(1, 3), sport=(7, 9))
    assert list(Flows(packet)) == reference(packet)
    assert Flows(packet).frame(1)[34:38] == b"\0\x08\0\x01"
    assigned = Ether(**MACS) / IP(src="1.1.1.1", dst="2.2.2.2") / UDP(dport=(1, 3))
    assigned[UDP].sport = (7, 9)
    assert list(Flows(assigned)) == reference(assigned)
    assert Flows(assigned).frame(1)[34:38] == b"\0\x07\0\x02"


def test_a_list_of_packets_is_sent_one_after_the_other():
    first = Ether(**MACS) / IP(src="1.1.1.1", dst="2.2.2.0/31") / UDP()
    second = Ether(**MACS) / IP(src="1.1.1.1", dst="2.2.2.2") / TCP(sport=(1, 3)) / b"load"
    flows = Flows([first, second, Ether(reference(first)[0])])
    assert list(flows) == reference(first) + reference(second) + reference(first)[:1]
    assert flows.frame(6) == reference(first)[0]  # the cycle starts again


@pytest.mark.parametrize("size", [64, 65, 128, 1518, 9728])
def test_size_grows_the_payload_with_right_lengths_and_checksums(size):
    packet = Ether(**MACS) / IP(src="1.1.1.1", dst="10.0.0.0/30") / UDP(sport=(1, 3))
    for frame, plain in zip(Flows(packet, size=size), packet, strict=True):
        assert len(frame) == size - 4
        assert frame == bytes(plain / Raw(bytes(size - 4 - 42)))
        parsed = Ether(frame)
        assert parsed[IP].len == size - 18 and parsed[UDP].len == size - 38
        del parsed[IP].chksum, parsed[UDP].chksum
        assert bytes(parsed) == frame


def test_payloads_of_several_lengths_grow_to_one_size():
    packet = Ether(**MACS) / IP(src="1.1.1.1", dst="10.0.0.0/31") / UDP() / Raw(load=["a", b"bcd" * 9])
    for frame, plain in zip(Flows(packet, size=100), packet, strict=True):
        assert frame == bytes(plain.copy() / Raw(bytes(96 - len(plain))))


def test_size_is_refused_when_nothing_could_be_sent():
    with pytest.raises(ConfigError, match=r"size 60 is too small: Ether/IPv6/TCP takes 78 bytes.*size=78"):
        Flows(Ether(**MACS) / IPv6() / TCP(), size=60)
    for size in (0, -1, 9729):
        with pytest.raises(ConfigError, match=f"size {size} is out of range"):
            Flows(IP(), size=size)
    with pytest.raises(ConfigError, match="whole number"):
        Flows(IP(), size=64.5)
    with pytest.raises(ConfigError, match="above the largest frame"):
        Flows(IP() / UDP() / bytes(9700))


def test_shortest_pads_only_what_is_short():
    flows = Flows([IP() / UDP(), IP() / UDP() / bytes(100)], shortest=64)
    assert [len(frame) for frame in flows] == [60, 142]


def test_nothing_is_looked_up_on_this_host():
    frame = Flows(IP(dst="8.8.8.8") / UDP()).frame(0)
    assert Ether(frame).src == "02:00:00:00:00:01" and Ether(frame).dst == "ff:ff:ff:ff:ff:ff"
    assert Ether(frame)[IP].src == "198.18.0.1"
    assert Ether(Flows(IPv6(dst="::1") / UDP()).frame(0))[IPv6].src == "2001:2::1"


def test_four_billion_flows_take_no_memory_and_no_time():
    started = time.thread_time()
    packet = Ether(**MACS) / IP(src="1.1.1.1", dst="10.0.0.0/8") / UDP(sport=(1024, 1279))
    flows = Flows(packet, size=64)
    assert time.thread_time() - started < 1
    assert flows.count == 1 << 32 and not flows.fits_table
    number = 0x00ABCD << 8 | 0x7F
    expected = Ether(**MACS) / IP(src="1.1.1.1", dst="10.0.171.205") / UDP(sport=1024 + 0x7F) / Raw(bytes(18))
    assert flows.frame(number) == bytes(expected)


def test_a_table_of_65536_flows_is_rendered_well_under_a_second():
    packet = Ether(**MACS) / IP(src="1.1.1.1", dst="10.0.0.0/24") / UDP(sport=(1024, 1279))
    started = time.thread_time()
    table = Flows(packet, size=64).table()
    assert time.thread_time() - started < 1
    assert table.frames.shape == (65_536, 64) and table.frames.ctypes.data % 64 == 0
    assert (table.lengths == 60).all() and not table.frames[:, 60:].any()
    words = table.frames[:, 14:34].reshape(-1, 10, 2).astype(np.uint32)
    sums = (words[:, :, 0] << 8 | words[:, :, 1]).sum(axis=1)
    assert ((sums & 0xFFFF) + (sums >> 16) == 0xFFFF).all()  # every IPv4 header checksum holds
    assert len({bytes(frame) for frame in table.frames}) == 65_536


def test_random_values_are_drawn_for_each_frame_and_repeat_with_the_seed():
    packet = IP(src=RandIP("10.0.0.0/8"), dst=["10.0.0.1", "10.0.0.2"]) / UDP(sport=RandShort())
    flows = Flows(packet, size=64)
    frames = [flows.frame(number) for number in range(50)]
    assert len({frame[34:36] for frame in frames}) > 40
    assert len({frame[26:30] for frame in frames}) > 40
    assert [frame[30:34] for frame in frames[:3]] == [b"\x0a\0\0\1", b"\x0a\0\0\2", b"\x0a\0\0\1"]
    for frame in frames:
        parsed = Ether(frame)
        del parsed[IP].chksum, parsed[UDP].chksum
        assert bytes(parsed) == frame
    assert frames[7] == Flows(packet, size=64).frame(7) != Flows(packet, size=64, seed=1).frame(7)


@pytest.mark.parametrize(
    ("packet", "message"),
    [
        ([], "empty list"),
        (7, "neither a packet nor a list"),
        ([IP(), b"x"], "is not a packet"),
        (IP() / UDP(sport=[]), "UDP.sport is an empty set"),
        (IP() / UDP(sport=[70000, 1]), r"scapy cannot build .* 'sport'.*0 <= number <= 65535"),
        (IP() / UDP(sport=(1, 5, 0)), r"UDP.sport=\(1, 5, 0\) is no range"),
        (IP() / UDP(sport=(65_530, 65_540)), "UDP.sport=655[34]. does not fit the field: .*65535"),
        (Raw(), "Raw has no bytes to send"),
        (IPv6(dst="2001:db8::/32"), r"IPv6.dst.*at most 2\*\*48"),
        (IP() / UDP(sport=[RandShort(), 1]), "random value inside a list"),
        (
            IP(proto=(0, 255), options=[]) / Raw(load=[b"a" * n for n in range(1, 1200)]),
            "change the frame's layout",
        ),
    ],
)
def test_what_cannot_be_generated_is_refused_by_name(packet, message):
    with pytest.raises(ConfigError, match=message):
        Flows(packet)


def test_repr_names_what_varies():
    flows = Flows(IP(dst="10.0.0.0/28") / UDP(sport=(1, 2)), size=64)
    assert repr(flows) == "<Flows 32 frames of 64 bytes: Ether/IP/UDP: IP.dst 16 x UDP.sport 2>"
