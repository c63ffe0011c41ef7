# SPDX-License-Identifier: BSD-3-Clause
"""What the chip is asked to do with packets on their way out: tags inserted, checksums filled in, TCP cut into segments.

The descriptors are looked at on the bare device; what comes of tags and checksums on the strict model, with scapy as judge.
"""

import pytest
from fakenic import FakeFunction
from modelrig import frame, pair
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Raw
from scapy.utils import checksum

from dataplane.byhand import Offload, receive, send
from dataplane.mempool import Mempool
from dataplane.pmd.datasheet import descriptors as d
from dataplane.pmd.ixgbe.pf import IxgbePort
from dataplane.pmd.portstring import PortString

ETHER = Ether(dst="ff:ff:ff:ff:ff:ff", src="02:00:00:00:00:77")


@pytest.fixture
def bare():
    function = FakeFunction()
    port = IxgbePort(function, PortString.split_options("fake0", "", "fake0", ""))
    port.configure(mempool=Mempool(1024, hugepages="no"))
    port.rx(0), port.tx(0)
    port.start()
    yield port.tx(0), function
    port.close()
    assert port.mempool.in_use == 0


def test_a_context_is_written_once_for_many_packets(bare):
    tx, nic = bare
    for vid in (5, 5, 6, 5, 6, 5):
        assert send(tx, [frame(1)], offload=Offload("vlan", vlan_tci=vid)) == 1
    send(tx, [frame(1)])
    packets = nic.transmit()
    assert [context and context.vlan for _, _, context in packets] == [5, 5, 6, 5, 6, 5, None]
    assert tx.held == 7 + 2
    # A third value takes the slot used longest ago.
    for vid in (7, 5, 6, 7):
        send(tx, [frame(1)], offload=Offload("vlan", vlan_tci=vid))
        assert nic.transmit()[0][2].vlan == vid


def test_contexts_are_forgotten_at_a_restart(bare):
    tx, nic = bare
    port = tx.port
    for _ in range(2):
        nic.contexts.clear()
        send(tx, [frame(1)], offload=Offload("vlan", vlan_tci=9))
        assert nic.transmit()[0][2].vlan == 9
        port.stop()
        port.start()


def test_what_the_descriptors_say(bare):
    tx, nic = bare
    data = bytes(ETHER / IP() / TCP() / Raw(bytes(3000)))
    send(tx, [data], segment=1000, offload=Offload("tso ip ipv4 vlan", 0x2001, 14, 20, 20, 1448))
    ((sent, descriptor, context),) = nic.transmit()
    assert sent == data
    assert (
        descriptor.total == len(data) - 54
        and descriptor.command & d.TXD_CMD_TSE
        and descriptor.command & d.TXD_CMD_VLE
    )
    assert descriptor.options == d.TXD_POPTS_IXSM | d.TXD_POPTS_TXSM
    assert context == d.TxContext(
        mac_length=14, ip_length=20, vlan=0x2001, command=d.TXC_TUCMD_IPV4 | d.TXC_TUCMD_TCP, l4_length=20, mss=1448,
        context=context.context,
    )  # fmt: skip


@pytest.mark.parametrize(
    "offload",
    [
        Offload("ip", l2_len=0),
        Offload("ip", l2_len=128),
        Offload("udp", l3_len=0),
        Offload("udp", l3_len=512),
        Offload("tso", l4_len=0, tso_segsz=100),
        Offload("tso", l4_len=20, tso_segsz=0),
        Offload("tso", l4_len=20, tso_segsz=1461),
        Offload("tso", l4_len=60, l3_len=300, tso_segsz=100),
    ],
)
def test_what_no_context_can_say_is_refused_and_counted(bare, offload):
    tx, nic = bare
    assert send(tx, [frame(1, 300)], offload=offload) == 1
    assert nic.transmit() == [] and tx.errors == 1


@pytest.fixture
def p():
    with pair() as p:
        p.start()
        yield p


def crosses(p, data, offload, segment=0):
    assert send(p.left.tx(0), [data], offload=offload, segment=segment) == 1
    p.step(8)
    assert p.left.xstats()["tx_errors"] == 0
    return receive(p.right.rx(0))


@pytest.mark.parametrize("segment", [0, 60])
def test_a_tag_is_inserted(p, segment):
    (got,) = crosses(p, frame(1, 200), Offload("vlan", vlan_tci=0xA123), segment)
    assert got == frame(1, 200)[:12] + b"\x81\x00\xa1\x23" + frame(1, 200)[12:]


def seeded(packet, layer):
    """The frame with the pseudo header's sum where the checksum will be, and the frame as it should arrive."""
    right = Ether(bytes(ETHER / packet))
    seed = right.copy()
    length = len(bytes(right[layer]))
    ip = right.payload
    if isinstance(ip, IP):
        pseudo = bytes.fromhex("".join(f"{int(x):02x}" for x in f"{ip.src}.{ip.dst}".split(".")))
        pseudo += bytes([0, ip.proto]) + length.to_bytes(2, "big")
        seed.payload.chksum = 0
    else:
        pseudo = bytes(ip)[8:40] + length.to_bytes(4, "big") + bytes([0, 0, 0, ip.nh])
    seed[layer].chksum = ~checksum(pseudo) & 0xFFFF
    return bytes(seed), bytes(right)


@pytest.mark.parametrize("segment", [0, 90])
@pytest.mark.parametrize("layer", [TCP, UDP])
@pytest.mark.parametrize("size", [18, 19, 1000])
def test_checksums_are_filled_in(p, layer, size, segment):
    name = layer.__name__.lower()
    body = Raw(bytes(n * 7 & 255 for n in range(size)))
    data, right = seeded(IP(src="10.1.2.3", dst="10.4.5.6") / layer(sport=1000) / body, layer)
    assert crosses(p, data, Offload(f"ip {name} ipv4"), segment) == [right]
    data, right = seeded(IPv6(src="fe80::1", dst="fe80::2") / layer(sport=1000) / body, layer)
    assert crosses(p, data, Offload(f"{name} ipv6", l3_len=40), segment) == [right]


def test_only_the_ip_checksum(p):
    right = bytes(ETHER / IP(src="10.1.2.3") / UDP(chksum=0x1234) / Raw(bytes(20)))
    assert crosses(p, right[:24] + bytes(2) + right[26:], Offload("ip ipv4")) == [right]


@pytest.mark.parametrize("segment", [0, 700], ids=["one mbuf", "several mbufs"])
@pytest.mark.parametrize(
    ("six", "tag"), [(False, ""), (True, ""), (False, " vlan")], ids=["IPv4", "IPv6", "tagged"]
)
@pytest.mark.parametrize(("size", "mss"), [(5000, 1428), (3000, 1000), (1401, 1400), (100, 1428)])
def test_a_long_packet_is_cut(p, six, tag, size, mss, segment):
    """Each segment as scapy would have built it: lengths, sequence, flags, identification, both checksums, the tag."""
    payload = bytes(n * 31 % 251 for n in range(size))
    ends = (
        {"src": "fe80::1", "dst": "fe80::2"} if six else {"src": "10.1.2.3", "dst": "10.4.5.6", "id": 0xFFFE}
    )
    ip = (IPv6 if six else IP)(**ends)
    whole = Ether(bytes(ETHER / ip / TCP(sport=5, dport=6, seq=0xFFFF_FF00, flags="FPA") / Raw(payload)))
    # As a stack gives it: no IP length or checksum, and the pseudo-header's sum without a length.
    if six:
        pseudo = bytes(whole)[22:54] + bytes([0, 0, 0, 6])
        whole[IPv6].plen = 0
    else:
        pseudo = bytes(whole)[26:34] + bytes([0, 6])
        whole[IP].len = whole[IP].chksum = 0
    whole[TCP].chksum = ~checksum(pseudo) & 0xFFFF
    flags = f"tso {'ipv6' if six else 'ip ipv4'}{tag}"
    offload = Offload(flags, 0x2007 if tag else 0, 14, 40 if six else 20, 20, mss)
    expected = []
    for n, at in enumerate(range(0, size, mss)):
        last = at + mss >= size
        if not six:
            ip.id = (0xFFFE + n) & 0xFFFF
        layer = TCP(sport=5, dport=6, seq=(0xFFFF_FF00 + at) & 0xFFFF_FFFF, flags="FPA" if last else "A")
        data = bytes(ETHER / ip / layer / Raw(payload[at : at + mss]))
        data = data[:12] + b"\x81\x00\x20\x07" + data[12:] if tag else data
        expected.append(data.ljust(60, b"\0"))
    assert crosses(p, bytes(whole), offload, segment) == expected
