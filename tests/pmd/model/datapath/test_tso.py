# SPDX-License-Identifier: BSD-3-Clause
"""Transmit offloads that build headers: checksums and segmentation, judged by scapy."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.all import IP, TCP, UDP, Ether, IPv6, Raw
from scapy.layers.sctp import SCTP, SCTPChunkData

from dataplane.pmd.datasheet import DTXTCPFLGH, DTXTCPFLGL, GPTC, QPTC, RXPBSIZE
from tests.pmd.model.reference import crc32c, ones_sum
from tests.pmd.model.rig import MAC, PEER, pair

IPV4, TCP_, SCTP_ = 2, 4, 8  # TUCMD
TSE, VLE = 1 << 31, 1 << 30
IXSM, TXSM = 1 << 8, 1 << 9
FIN, PSH, ACK, CWR = 0x01, 0x08, 0x10, 0x80


def ready():
    a, b = pair(2 << 20)
    a.write(DTXTCPFLGL, DTXTCPFLGL.resets)
    a.write(DTXTCPFLGH, DTXTCPFLGH.resets)
    return a, b, a.tx_queue(n=512), b.rx_queue(n=256)


def seed(data: bytes, ip, l4_at: int, protocol: int, checksum_at: int, length: int) -> bytes:
    """As software does it: header checksum 0, the L4 checksum holds the pseudo-header's sum; length 0 for segmentation."""
    out = bytearray(data)
    addresses = data[l4_at - 8 : l4_at] if ip is IP else data[l4_at - 32 : l4_at]
    total = ones_sum(addresses + protocol.to_bytes(2, "big") + length.to_bytes(2, "big"))
    out[l4_at + checksum_at : l4_at + checksum_at + 2] = total.to_bytes(2, "big")
    if ip is IP:
        out[24:26] = b"\0\0"
    return bytes(out)


def build(ip, l4, payload: bytes):
    ends = ("10.0.0.1", "10.0.0.2") if ip is IP else ("2001:db8::1", "2001:db8::2")
    network = ip(src=ends[0], dst=ends[1], **({"id": 0xFFFE} if ip is IP else {}))
    return Ether(dst=MAC.hex(":"), src=PEER.hex(":")) / network / l4 / Raw(payload)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([IP, IPv6]),
    st.sampled_from(["TCP", "UDP"]),
    st.binary(min_size=20, max_size=600),
    st.integers(1, 4),
    st.none() | st.integers(0, 65535),
)
def test_checksums(ip, transport, payload, pieces, tag):
    _a, b, tx, rx = ready()
    l4 = TCP(sport=1, dport=2, flags="PA") if transport == "TCP" else UDP(sport=1, dport=2)
    expected = bytes(build(ip, l4, payload))
    l4_at, at = (34 if ip is IP else 54), (16 if transport == "TCP" else 6)
    protocol = 6 if transport == "TCP" else 17
    text = seed(expected, ip, l4_at, protocol, at, len(expected) - l4_at)
    tx.context(
        14, l4_at - 14, tucmd=(IPV4 if ip is IP else 0) | (TCP_ if transport == "TCP" else 0), vlan=tag or 0
    )
    tx.send(text, pieces, command=0 if tag is None else VLE, upper=TXSM | (IXSM if ip is IP else 0))
    tx.port.step()
    b.step()
    if tag is not None:
        expected = expected[:12] + b"\x81\x00" + tag.to_bytes(2, "big") + expected[12:]
    assert [got.data for got in rx.take()] == [expected]


def test_a_udp_sum_of_0_is_sent_as_ffff():
    _a, b, tx, rx = ready()
    text = bytearray(bytes(build(IP, UDP(sport=0, dport=0), bytes(20))))
    text[40:42] = b"\0\0"
    rest = ~ones_sum(bytes(text[34:])) & 0xFFFF
    text[60:62] = rest.to_bytes(2, "big")  # now the whole adds up to 0xFFFF
    tx.context(14, 20, tucmd=IPV4)
    tx.send(bytes(text), upper=TXSM)
    tx.port.step()
    b.step()
    assert rx.take()[0].data[40:42] == b"\xff\xff"


def test_sctp():
    _a, b, tx, rx = ready()
    text = bytes(build(IP, SCTP(sport=1, dport=2) / SCTPChunkData(data=b"x" * 20), b""))
    tx.context(14, 20, tucmd=IPV4 | SCTP_)
    tx.send(text[:42] + bytes(4) + text[46:], upper=TXSM)
    tx.port.step()
    b.step()
    (got,) = rx.take()
    assert got.data[42:46] == crc32c(text[34:42] + bytes(4) + text[46:]).to_bytes(4, "little")


def segments_of(ip, transport, payload, mss, flags=PSH | FIN | ACK | CWR):
    """The segments that must arrive, made by scapy."""
    pieces = [payload[at : at + mss] for at in range(0, len(payload), mss)]
    for n, piece in enumerate(pieces):
        if transport == "TCP":
            mask = 0xF7F if n == len(pieces) - 1 else 0xFF6
            l4 = TCP(sport=1, dport=2, seq=(0xFFFFFF00 + n * mss) & 0xFFFFFFFF, flags=flags & mask)
        else:
            l4 = UDP(sport=1, dport=2)
        packet = build(ip, l4, piece)
        if ip is IP:
            packet[IP].id = (0xFFFE + n) & 0xFFFF
        yield bytes(packet).ljust(60, b"\0")


def send_segmented(tx, ip, transport, payload, mss, command=0):
    l4 = (
        TCP(sport=1, dport=2, seq=0xFFFFFF00, flags=PSH | FIN | ACK | CWR)
        if transport == "TCP"
        else UDP(sport=1, dport=2)
    )
    whole = bytes(build(ip, l4, b""))
    headers, l4_at = len(whole), (34 if ip is IP else 54)
    protocol, at = (6, 16) if transport == "TCP" else (17, 6)
    text = seed(whole, ip, l4_at, protocol, at, 0) + payload
    tx.context(
        14,
        l4_at - 14,
        tucmd=(IPV4 if ip is IP else 0) | (TCP_ if transport == "TCP" else 0),
        mss=mss,
        l4=headers - l4_at,
        vlan=0x123,
    )
    cut = [0, headers, *range(headers + 4000, len(text), 4000), len(text)]
    options = TXSM | (IXSM if ip is IP else 0) | len(payload) << 14
    for n in range(len(cut) - 1):
        piece = text[cut[n] : cut[n + 1]]
        last = n == len(cut) - 2
        flags = len(piece) | 0x22300000 | TSE | command | (0x09000000 if last else 0)
        tx.put(tx.place(piece), flags | options << 32)
    tx.bell()


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([IP, IPv6]),
    st.sampled_from(["TCP", "UDP"]),
    st.integers(1, 20_000),
    st.integers(200, 1400),
)
def test_segmentation(ip, transport, size, mss):
    a, b, tx, rx = ready()
    payload = bytes(n * 11 & 0xFF for n in range(size))
    send_segmented(tx, ip, transport, payload, mss)
    a.step(2)  # each of 64 frames at most
    b.step(2)
    expected = list(segments_of(ip, transport, payload, mss))
    assert [got.data for got in rx.take()] == expected
    assert a.clear(GPTC) == a.clear(QPTC[0]) == len(expected) and a.violations() == []
    assert tx.done((tx.tail - 1) % tx.n)


def test_segments_have_the_tag():
    a, b, tx, rx = ready()
    send_segmented(tx, IP, "TCP", bytes(3000), 1000, command=VLE)
    a.step()
    b.step()
    assert [got.data[12:16] for got in rx.take()] == [b"\x81\x00\x01\x23"] * 3


def test_a_full_wire_in_the_middle_of_a_packet():
    a, b, tx, rx = ready()
    b.write(RXPBSIZE[0], 8 << 10)
    payload = bytes(n * 7 & 0xFF for n in range(60_000))
    send_segmented(tx, IP, "TCP", payload, 1000)
    got = []
    for _ in range(40):
        a.step()
        b.step()
        got += [received.data for received in rx.take()]
    assert got == list(segments_of(IP, "TCP", payload, 1000)) and a.clear(GPTC) == 60


def test_a_packet_of_many_segments_lets_other_queues_have_their_turns():
    a, b, tx, rx = ready()
    other = a.tx_queue(1)
    payload = bytes(n * 7 & 0xFF for n in range(60_000))
    send_segmented(tx, IP, "TCP", payload, 20)
    for _ in range(3):
        other.send(bytes(60))
    a.step()
    assert other.head == other.tail and tx.head != tx.tail
    assert a.clear(QPTC[0]) < 130
    b.write(0x05080, 1 << 10)  # FCTRL: none of the small ones
    got = []
    for _ in range(100):
        a.step()
        b.step()
        got += [received.data for received in rx.take()]
    assert got == list(segments_of(IP, "TCP", payload, 20))
    assert tx.done((tx.tail - 1) % tx.n)


@pytest.mark.parametrize("wrong", ["mss", "l4", "payload"])
def test_impossible_contexts(wrong):
    a, b, tx, rx = ready()
    tx.context(14, 20, tucmd=IPV4 | TCP_, mss=0 if wrong == "mss" else 500, l4=0 if wrong == "l4" else 20)
    size = 900 if wrong == "payload" else 946
    tx.put(tx.place(bytes(1000)), 1000 | 0x2B300000 | TSE | (size << 14) << 32)
    a.step()
    tx.bell()
    a.step()
    b.step()
    (text,) = a.violations()
    assert "segmentation" in text and rx.take() == [] and tx.head == tx.tail
