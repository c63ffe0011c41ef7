# SPDX-License-Identifier: BSD-3-Clause
"""Filters and fields of Rx descriptors on the strict model: MAC, multicast, promiscuous, VLAN, RSS, checksums."""

import random

import pytest
from modelrig import frame, pair
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Raw

from dataplane.byhand import receive_packets, send
from dataplane.errors import ConfigError
from dataplane.pmd.ixgbe.steering.filters import multicast_hash
from dataplane.pmd.ixgbe.steering.rss import DEFAULT_KEY, SYMMETRIC_KEY

ME, OTHER, GROUP = "02:00:00:00:00:01", "02:00:00:00:00:02", "01:00:5e:01:02:03"
VLAN, STRIPPED, RSS, IP_GOOD, IP_BAD, L4_GOOD, L4_BAD = (1 << n for n in range(7))


def comes_in(p, *frames):
    """Which of the frames, by number, the right port lets in."""
    got = p.cross(frames)
    return [n for n, data in enumerate(frames) if data in got]


def kinds():
    broadcast = frame(1)
    return [broadcast, frame(2, to=ME), frame(3, to=OTHER), frame(4, to=GROUP)]


def test_addresses_promiscuous_and_allmulticast():
    """Each switched while packets flow."""
    with pair() as p:
        own = frame(5, to=p.right.mac)
        p.start()
        assert comes_in(p, *kinds(), own) == [0, 4]
        p.right.mac = ME
        assert p.right.mac == ME
        assert comes_in(p, *kinds(), own) == [0, 1]
        p.right.allmulticast = True
        assert comes_in(p, *kinds()) == [0, 1, 3]
        p.right.promiscuous = True
        p.right.allmulticast = False
        assert comes_in(p, *kinds(), own) == [0, 1, 2, 3, 4]
        p.right.promiscuous = False
        assert comes_in(p, *kinds(), own) == [0, 1]
        p.right.multicast.set([GROUP])
        assert comes_in(p, *kinds()) == [0, 1, 3]
        p.right.stop()
        p.right.start()
        p.right.wait_link(1)
        assert comes_in(p, *kinds(), own) == [0, 1, 3]
        p.right.multicast.set([])
        assert comes_in(p, *kinds()) == [0, 1]


def test_a_long_multicast_list():
    chance = random.Random(1)
    groups = [bytes([1, *chance.randbytes(5)]) for _ in range(400)]
    listed, rest = groups[:200], groups[200:]
    hashes = {multicast_hash(group) for group in listed}
    with pair() as p:
        p.start()
        p.right.multicast.set(group.hex(":") for group in listed)
        sent = [frame(n, to=group.hex(":")) for n, group in enumerate(groups)]
        got = set(comes_in(p, *sent))
        assert got >= set(range(200))
        # The chip compares 12 bits: a few others come along, and none that it can tell apart.
        assert got - set(range(200)) == {
            200 + n for n, group in enumerate(rest) if multicast_hash(group) in hashes
        }
        with pytest.raises(ConfigError, match=r"02:00:00:00:00:01 is no multicast address"):
            p.right.multicast.set([ME])


def test_vlan_filter():
    with pair() as p:
        p.start()
        tagged = [frame(vid, tag=vid) for vid in (0, 1, 99, 100, 4094, 4095)]
        assert comes_in(p, *tagged) == [0, 1, 2, 3, 4, 5]
        for vid in (100, 4095):
            p.right.vlans.add(vid)
        assert comes_in(p, *tagged, frame(7)) == [3, 5, 6]
        p.right.vlans.add(1)
        p.right.vlans.remove(100)
        p.right.stop()
        p.right.start()
        p.right.wait_link(1)
        assert comes_in(p, *tagged, frame(7)) == [1, 5, 6]
        for vid in (-1, 4096):
            with pytest.raises(ConfigError, match="must be 0 to 4095"):
                p.right.vlans.add(vid)


def test_tags_stripped():
    with pair(",vlan_strip=on") as p:
        p.start()
        send(p.left.tx(0), [frame(1, 80, tag=0x6123), frame(2, 80)])
        p.step()
        first, second = receive_packets(p.right.rx(0))
        assert first.data == frame(1, 80, tag=0x6123)[:12] + frame(1, 80, tag=0x6123)[16:]
        assert first.vlan_tci == 0x6123 and first.ol_flags & (VLAN | STRIPPED) == VLAN | STRIPPED
        assert second.data == frame(2, 80) and not second.ol_flags & VLAN


@pytest.mark.parametrize("mtu", [1500, 9000])
def test_a_tag_may_be_longer_than_the_mtu(mtu):
    with pair(f",mtu={mtu}") as p:
        p.start()
        sent = [frame(1, mtu + 14), frame(2, mtu + 18, tag=5)]
        assert p.cross(sent) == sent
        assert p.left.xstats()["tx_errors"] == p.right.xstats()["rx_errors"] == 0


def toeplitz(key: bytes, data: bytes) -> int:
    window, result = int.from_bytes(key, "big"), 0
    bits = len(key) * 8
    for n in range(len(data) * 8):
        if data[n >> 3] >> (7 - (n & 7)) & 1:
            result ^= window >> (bits - 32 - n) & 0xFFFF_FFFF
    return result


@pytest.mark.parametrize("name", ["default", "symmetric"])
def test_the_rss_hash_and_its_queue(name):
    key = DEFAULT_KEY if name == "default" else SYMMETRIC_KEY
    with pair(f",rss_key={name},rx_desc=64") as p:
        p.start(4)
        a, b = bytes([10, 0, 0, 7]), bytes([192, 168, 1, 9])
        ports = (1234).to_bytes(2, "big"), (80).to_bytes(2, "big")
        ether = Ether(dst="ff:ff:ff:ff:ff:ff")
        there = ether / IP(src="10.0.0.7", dst="192.168.1.9") / UDP(sport=1234, dport=80) / bytes(20)
        back = ether / IP(src="192.168.1.9", dst="10.0.0.7") / TCP(sport=80, dport=1234) / bytes(20)
        only_ip = ether / IP(src="10.0.0.7", dst="192.168.1.9", proto=50) / bytes(30)
        wanted = [
            toeplitz(key, a + b + ports[0] + ports[1]),
            toeplitz(key, b + a + ports[1] + ports[0]),
            toeplitz(key, a + b),
        ]
        for packet, value in zip((there, back, only_ip), wanted, strict=True):
            send(p.left.tx(0), [bytes(packet)])
            p.step()
            got = {q: receive_packets(p.right.rx(q)) for q in range(4)}
            (found,) = (one for each in got.values() for one in each)
            assert found.rss_hash == value and found.ol_flags & RSS
            assert got[(value & 0x7F) % 4] == [found]
        assert (wanted[0] == wanted[1]) is (name == "symmetric")


@pytest.mark.parametrize(
    ("packet", "flags"),
    [
        (IP() / UDP(sport=5) / Raw(bytes(30)), IP_GOOD | L4_GOOD),
        (IP() / TCP(sport=5) / Raw(bytes(30)), IP_GOOD | L4_GOOD),
        (IPv6() / UDP(sport=5) / Raw(bytes(30)), L4_GOOD),
        (IPv6() / TCP(sport=5) / Raw(bytes(30)), L4_GOOD),
        (IP(chksum=1) / UDP() / Raw(bytes(30)), IP_BAD),
        (IP() / TCP(chksum=1) / Raw(bytes(30)), IP_GOOD | L4_BAD),
        (IP() / UDP(chksum=0) / Raw(bytes(30)), IP_GOOD),
        (IP(proto=89) / Raw(bytes(40)), IP_GOOD),
        (Raw(bytes(60)), 0),
    ],
    ids=lambda value: value if isinstance(value, int) else value.command()[:30],
)
def test_checksums_are_checked(packet, flags):
    with pair() as p:
        p.start()
        kind = {"type": 0x88B5} if isinstance(packet, Raw) else {}
        data = bytes(Ether(dst="ff:ff:ff:ff:ff:ff", **kind) / packet)
        send(p.left.tx(0), [data])
        p.step()
        (got,) = receive_packets(p.right.rx(0))
        assert got.data == data
        checked = IP_GOOD | IP_BAD | L4_GOOD | L4_BAD
        # With a bad IP header the layers above need not have been looked at.
        assert got.ol_flags & checked & ~(L4_GOOD if flags & IP_BAD else 0) == flags


def test_a_tagged_packet_is_classified_like_an_untagged_one():
    with pair() as p:
        p.start()
        ether = Ether(dst="ff:ff:ff:ff:ff:ff")
        rest = IP() / UDP(sport=9) / Raw(bytes(30))
        send(p.left.tx(0), [bytes(ether / rest), bytes(ether / Dot1Q(vlan=5) / rest)])
        p.step()
        plain, tagged = receive_packets(p.right.rx(0))
        assert plain.packet_type == tagged.packet_type != 0
        assert plain.ol_flags == tagged.ol_flags == IP_GOOD | L4_GOOD
