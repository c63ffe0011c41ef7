# SPDX-License-Identifier: BSD-3-Clause
"""What the descriptor says of a frame: packet type, checksums, tag, RSS; against a slow reference."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dataplane.pmd.datasheet import MRQC, RETA, RSSRK, RXCSUM, XEC
from dataplane.pmd.datasheet import descriptors as d
from tests.pmd.model import reference
from tests.pmd.model.rig import MAC, PEER, carry, frame, pair
from tests.pmd.model.strategies import packets

ETHERNET = MAC + PEER
STATUS = d.RXD_STAT_DD | d.RXD_STAT_EOP


def set_key(port, key=reference.RSS_KEY):
    for n in range(10):
        port.write(RSSRK[n], int.from_bytes(key[4 * n : 4 * n + 4], "little"))


@pytest.fixture(scope="module")
def ports():
    """A pair with 16 queues, RSS over all of them, and everything let in."""
    a, b = pair(4 << 20)
    a.tx_queue(n=64)
    for queue in range(16):
        b.rx_queue(queue, n=16)
    set_key(b)
    for n in range(32):
        b.write(RETA[n], sum(((5 * (4 * n + i) + 1) & 15) << 8 * i for i in range(4)))
    return a, b


def deliver(ports, data):
    """The one frame that arrives, and its queue."""
    a, b = ports
    a.tx[0].send(data)
    a.step()
    b.step()
    got = [(queue.index, received) for queue in b.rx.values() for received in queue.take()]
    assert len(got) == 1
    return got[0]


@settings(max_examples=300, deadline=None)
@given(data=packets(), fields=st.integers(0, 511))
def test_any_packet(ports, data, fields):
    _, b = ports
    b.write(MRQC, 1 | fields << 16)
    b.clear(XEC)
    queue, got = deliver(ports, data)
    expected = reference.parse(data)
    kind, value = reference.rss(expected, fields)
    assert got.data == data
    assert got.info == expected.kind | kind
    assert got.rss_hash == value
    assert got.status == expected.status | STATUS
    assert got.vlan == expected.tag
    assert queue == ((5 * (value & 127) + 1) & 15 if kind else 0)
    assert b.clear(XEC) == bool(expected.status & (d.RXD_ERR_IPE | d.RXD_ERR_L4E))


@settings(max_examples=200, deadline=None)
@given(
    etype=st.sampled_from([b"\x08\x00", b"\x86\xdd", b"\x81\x00\x00\x01\x08\x00"]),
    body=st.binary(max_size=90),
)
@example(etype=b"\x08\x00", body=b"\x45" + bytes(19))
@example(etype=b"\x86\xdd", body=b"\x60\0\0\0\0\x08\0\0" + bytes(32) + b"\0\xff" + bytes(6))
def test_rubbish(ports, etype, body):
    data = (ETHERNET + etype + body).ljust(60, b"\0")
    _, b = ports
    b.write(MRQC, 1 | 0x1FF << 16)
    _, got = deliver(ports, data)
    expected = reference.parse(data)
    assert (got.data, got.status) == (data, expected.status | STATUS)
    assert got.info & d.RXD_PKT_TYPE_MASK == expected.kind


V4 = bytes.fromhex("4500002e000000004011") + bytes(2)


@pytest.mark.parametrize(
    ("source", "target", "plain", "with_ports"),
    [
        ("66.9.149.187:2794", "161.142.100.80:1766", 0x323E8FC2, 0x51CCC178),
        ("199.92.111.2:14230", "65.69.140.83:4739", 0xD718262A, 0xC626B0EA),
        ("24.19.198.95:12898", "12.22.207.184:38024", 0xD2D0A5DE, 0x5C2B394A),
        ("38.27.205.30:48228", "209.142.163.6:2217", 0x82989176, 0xAFC7327F),
        ("153.39.163.191:44251", "202.188.127.2:1303", 0x5D1809C5, 0x10E828A2),
        ("[3ffe:2501:200:1fff::7]:2794", "[3ffe:2501:200:3::1]:1766", 0x2CC18CD5, 0x40207D3D),
        ("[3ffe:501:8::260:97ff:fe40:efab]:14230", "[ff02::1]:4739", 0x0F0C461C, 0xDDE51BBF),
        (
            "[3ffe:1900:4545:3:200:f8ff:fe21:67cf]:44251",
            "[fe80::200:f8ff:fe21:67cf]:38024",
            0x4B61E985,
            0x02D1FEEF,
        ),
    ],
)
@pytest.mark.parametrize("transport", ["TCP", "UDP"])
def test_published_hashes(ports, source, target, plain, with_ports, transport):
    """The vectors of Microsoft's RSS verification suite, which every implementation of this hash is checked with."""
    from scapy.all import IP, TCP, UDP, Ether, IPv6

    (src, sport), (dst, dport) = (end.rsplit(":", 1) for end in (source, target))
    network = IPv6 if "[" in src else IP
    layer = {"TCP": TCP, "UDP": UDP}[transport]
    data = bytes(
        Ether(dst=MAC.hex(":"), src=PEER.hex(":"))
        / network(src=src.strip("[]"), dst=dst.strip("[]"))
        / layer(sport=int(sport), dport=int(dport))
    ).ljust(60, b"\0")
    _, b = ports
    six = network is IPv6
    plain_bit, ports_bit = (20, {"TCP": 21, "UDP": 23}) if six else (17, {"TCP": 16, "UDP": 22})
    b.write(MRQC, 1 | 1 << plain_bit)
    queue, got = deliver(ports, data)
    assert got.rss_hash == plain and queue == (5 * (plain & 127) + 1) & 15
    b.write(MRQC, 1 | 1 << plain_bit | 1 << ports_bit[transport])
    queue, got = deliver(ports, data)
    assert got.rss_hash == with_ports and queue == (5 * (with_ports & 127) + 1) & 15


def test_hash_follows_the_key(ports):
    _, b = ports
    b.write(MRQC, 1 | 1 << 17)
    data = (ETHERNET + b"\x08\x00" + V4 + bytes(range(8))).ljust(60, b"\0")
    key = bytes(range(1, 41))
    set_key(b, key)
    assert deliver(ports, data)[1].rss_hash == reference.toeplitz(bytes(range(8)), key)
    set_key(b)
    assert deliver(ports, data)[1].rss_hash == reference.toeplitz(bytes(range(8)))


def test_fragment_sum_and_identification():
    """RXCSUM.PCSD = 0: no hash, but the IP identification and, for fragments, the payload's sum."""
    a, b = pair()
    a.tx_queue(), b.rx_queue()
    b.write(RXCSUM, 1 << 12)  # IPPCSE
    payload = bytes(range(1, 41))
    header = bytearray.fromhex("4500003cabcd20004011") + bytes(2) + bytes([10, 0, 0, 1, 10, 0, 0, 2])
    header[10:12] = (~reference.ones_sum(bytes(header)) & 0xFFFF).to_bytes(2, "big")
    (got,) = carry(a, b, [ETHERNET + b"\x08\x00" + bytes(header) + payload])
    total = got.rss_hash >> 16
    assert got.rss_hash & 0xFFFF == 0xABCD
    assert int.from_bytes(total.to_bytes(2, "little"), "big") == reference.ones_sum(payload)
    assert got.status & d.RXD_STAT_UDPV and got.status & d.RXD_STAT_IPCS and not got.status & d.RXD_ERR_IPE


def test_double_vlan():
    a, b = pair()
    b.write(0x00018, 1 << 26)  # CTRL_EXT: extended VLAN
    b.write(0x05078, 0x88A8 << 16)  # EXVET
    a.tx_queue(), b.rx_queue(rxdctl=1 << 30)
    text = ETHERNET + bytes.fromhex("88a8006481002005") + frame(80)[12:]
    (got,) = carry(a, b, [text])
    assert got.status & d.RXD_STAT_VEXT and got.status & d.RXD_STAT_VP and got.vlan == 0x2005
    assert got.data == text[:16] + text[20:], "the inner tag is stripped"
