# SPDX-License-Identifier: BSD-3-Clause
"""Receive: buffers, descriptors, and frames that find no descriptor."""

import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataplane.pmd.datasheet import (
    CRCERRS,
    FCTRL,
    GPRC,
    HLREG0,
    MAXFRS,
    QBRC_L,
    QDE,
    QPRC,
    QPRDC,
    RDH,
    RDT,
    RQSMR,
    RXCTRL,
    RXDCTL,
    RXMPC,
    RXPBSIZE,
    SECRXCTRL,
    SRRCTL,
    TPR,
)
from dataplane.pmd.datasheet import descriptors as d
from tests.pmd.model.rig import carry, frame, pair, poke

JUMBO = 9728


def jumbo_pair(size=4 << 20, **options):
    a, b = pair(size, **options)
    for port in (a, b):
        port.write(HLREG0, HLREG0.resets | 1 << 2)
        port.write(MAXFRS, JUMBO << 16)
    return a, b


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 16),
    st.lists(st.integers(60, JUMBO - 4), min_size=1, max_size=6),
    st.booleans(),
    st.booleans(),
)
def test_frames_over_several_buffers(kib, sizes, strip, legacy):
    a, b = jumbo_pair()
    if not strip:
        b.write(HLREG0, b.read(HLREG0) & ~2)
    tx, rx = a.tx_queue(n=64), b.rx_queue(n=64, kib=kib, kind=0 if legacy else 1)
    for size in sizes:
        text = frame(size)
        tx.send(text, pieces=1 + size // 5000)
        a.step()
        b.step()
        (got,) = rx.take()
        whole = text if strip else text + zlib.crc32(text).to_bytes(4, "little")
        assert got.data == whole
        assert got.descriptors == -(-len(whole) // (kib << 10))
        assert rx.port.read(RDH[0]) == rx.next
    assert b.clear(QPRC[0]) == len(sizes)
    assert b.clear(QBRC_L[0]) == sum(size + (0 if strip else 4) for size in sizes)


def test_only_the_last_descriptor_has_the_status():
    a, b = jumbo_pair()
    a.tx_queue(n=8)
    rx = b.rx_queue(n=8, kib=1, rxdctl=1 << 30)
    text = frame(2500)
    a.tx[0].send(text[:12] + b"\x81\x00\x00\x07" + text[12:])
    a.step()
    b.step()
    raw = [rx.raw(n) for n in range(4)]
    assert [high & 0xFFFFFFFF for _, high in raw] == [1, 1, 3 | d.RXD_STAT_VP, 0]
    assert [high >> 32 & 0xFFFF for _, high in raw] == [1024, 1024, 2500 - 2048, 0]
    (got,) = rx.take()
    assert got.data == text and got.vlan == 7


def test_tag_stays_without_vme():
    a, b = pair()
    a.tx_queue(), b.rx_queue()
    text = frame(90)
    tagged = text[:12] + b"\x81\x00\xe0\x01" + text[12:]
    (got,) = carry(a, b, [tagged])
    assert got.data == tagged and got.status & d.RXD_STAT_VP and got.vlan == 0xE001


def test_legacy_write_back():
    a, b = pair()
    a.tx_queue()
    rx = b.rx_queue(kind=0, rxdctl=1 << 30)
    text = frame(64, etype=0x0800, fill=0x45)
    tagged = text[:12] + b"\x81\x00\x20\x03" + text[12:]
    (got,) = carry(a, b, [tagged])
    assert got.data == text and got.vlan == 0x2003
    assert got.status & 0xFF == 1 | 2 | 8 | 64, "DD, EOP, VP, IPCS"
    assert got.status >> 8 == d.RXD_LEGACY_ERR_IPE
    assert rx.size == 2048


def test_frames_are_not_read_twice_and_wrap():
    a, b = pair()
    a.tx_queue(n=8)
    rx = b.rx_queue(n=8)
    for n in range(50):
        assert [got.data for got in carry(a, b, [frame(60 + n)])] == [frame(60 + n)]
    assert rx.next == 50 % 8 and b.read(RDH[0]) == 50 % 8


# ---- no descriptors (3.11 of the facts; datasheet 7.1.9) ----------------------------------------------------------


def test_drop_en_drops_what_does_not_fit():
    a, b = pair()
    tx, rx = a.tx_queue(), b.rx_queue(drop=1, give=3)
    for n in range(10):
        tx.send(frame(64 + n))
    a.step()
    b.step()
    assert [len(got.data) for got in rx.take(refill=False)] == [64, 65, 66]
    assert (b.clear(QPRDC[0]), b.clear(QPRC[0]), b.clear(GPRC), b.clear(RXMPC[0])) == (7, 3, 10, 0)


def test_pfqde_drops_as_well():
    a, b = pair()
    tx, rx = a.tx_queue(), b.rx_queue(5, give=1)
    b.write(0x05128, 0x88B5 | 1 << 31)  # ETQF 0 -> queue 5
    b.write(0x0EC00, 5 << 16 | 1 << 31)
    b.write(QDE, 1 | 5 << 8 | 1 << 16)
    for _ in range(3):
        tx.send(frame(64))
    a.step()
    b.step()
    assert len(rx.take()) == 1 and b.clear(QPRDC[0]) == 2
    b.write(QDE, 0 | 5 << 8 | 1 << 16)
    tx.send(frame(64)), tx.send(frame(64))
    a.step()
    b.step()
    assert len(rx.take()) == 1 and b.clear(QPRDC[0]) == 0, "the second one waits now"


def test_head_of_line_waits_and_nothing_is_lost():
    a, b = pair()
    tx, rx = a.tx_queue(), b.rx_queue(give=2)
    for n in range(10):
        tx.send(frame(64 + n))
    a.step()
    b.step(3)
    assert [len(got.data) for got in rx.take(refill=False)] == [64, 65]
    assert (b.clear(QPRDC[0]), b.clear(GPRC), b.clear(TPR)) == (0, 10, 10), "the MAC has counted what waits"
    rx.give(4)
    b.step()
    assert [len(got.data) for got in rx.take(refill=False)] == [66, 67, 68, 69]
    rx.give(8)
    b.step()
    assert [len(got.data) for got in rx.take(refill=False)] == [70, 71, 72, 73]
    assert (b.clear(GPRC), b.clear(QPRC[0])) == (0, 10)


def test_a_blocked_queue_blocks_the_others():
    a, b = pair()
    tx, blocked, other = a.tx_queue(), b.rx_queue(0, give=0), b.rx_queue(7)
    b.write(0x05128, 0x1234 | 1 << 31)
    b.write(0x0EC00, 7 << 16 | 1 << 31)
    tx.send(frame(64)), tx.send(frame(64, etype=0x1234))
    a.step()
    b.step()
    assert other.take() == []
    blocked.give(1)
    b.step()
    assert len(blocked.take()) == len(other.take()) == 1


@pytest.mark.parametrize("elastic", [False, True])
def test_packet_buffer_overflow(elastic):
    a, b = jumbo_pair(elastic=elastic)
    b.write(RXPBSIZE[0], 32 << 10)
    tx, rx = a.tx_queue(n=128), b.rx_queue(n=64, give=0, kib=10)
    for _ in range(60):
        tx.send(frame(1000), ring_bell=False)
    tx.bell()
    a.step(3)
    b.step()
    missed = b.clear(RXMPC[0])
    if elastic:
        assert missed == 0 and tx.head < 60
    else:
        assert 24 <= missed <= 32 and tx.head == 60, "32 KiB hold about 30 of them"
        assert b.clear(GPRC) == 60, "missed packets were good ones"
    for _ in range(60):
        rx.give(1)
        a.step()
        b.step()
    assert len(rx.take(refill=False)) == 60 - missed


def test_overflow_without_end():
    """Far more lost than even their first bytes find room for: still each is counted."""
    a, b = pair(elastic=False)
    b.write(RXPBSIZE[0], 1 << 10)
    tx, rx = a.tx_queue(n=512), b.rx_queue(give=0)
    for _ in range(20):
        for _ in range(500):
            tx.send(frame(60), ring_bell=False)
        tx.bell()
        a.step(10)
    b.step(200)
    kept = 0
    for _ in range(20):
        rx.give(1)
        b.step()
        kept += len(rx.take(refill=False))
    assert kept >= 5 and b.clear(RXMPC[0]) == 10000 - kept


def test_more_buffers_than_the_ring_has():
    a, b = jumbo_pair()
    tx, rx = a.tx_queue(n=8), b.rx_queue(n=8, kib=1)
    tx.send(frame(9000)), tx.send(frame(7 * 1024))
    a.step()
    b.step()
    assert [len(got.data) for got in rx.take()] == [7 * 1024]
    assert b.clear(QPRDC[0]) == 1
    assert b.violations() == [
        "queue 0: a ring of 8 descriptors can never hold a packet of 9000 bytes: it is dropped"
    ]


def test_disabled_queue_drops():
    a, b = pair()
    a.tx_queue()
    rx = b.rx_queue()
    b.write(RQSMR[0], 3)
    b.write(RXDCTL[0], 0)
    assert carry(a, b, [frame(64)]) == [] and b.clear(QPRDC[3]) == 1 and b.clear(GPRC) == 1
    b.write(RXDCTL[0], 1 << 25)
    assert len(carry(a, b, [frame(64)])) == 1 and b.clear(QPRC[3]) == 1
    assert rx.next == 1


def test_receive_disabled():
    a, b = pair()
    a.tx_queue(), b.rx_queue()
    b.write(RXCTRL, 0)
    assert carry(a, b, [frame(64)]) == []
    assert (b.clear(GPRC), b.clear(QPRC[0]), b.clear(QPRDC[0])) == (1, 0, 0), "the MAC counts all the same"
    b.write(RXCTRL, 1)
    assert len(carry(a, b, [frame(64)])) == 1


def test_security_block_holds():
    a, b = pair()
    a.tx_queue()
    rx = b.rx_queue()
    b.write(SECRXCTRL, 2)
    assert carry(a, b, [frame(64), frame(65)]) == []
    b.write(SECRXCTRL, 0)
    b.step()
    assert [len(got.data) for got in rx.take()] == [64, 65]


def test_tail_beyond_the_end():
    a, b = pair()
    a.tx_queue()
    rx = b.rx_queue(n=64)
    b.registers.poke(RDT[0].offset, 64)
    assert carry(a, b, [frame(64)]) == []
    b.step(2)
    assert b.violations() == ["queue 0: tail 64 is beyond the end of a descriptor ring of 64"]
    b.registers.poke(RDT[0].offset, 63)
    b.step()
    assert len(rx.take()) == 1


def test_a_queue_that_is_off_keeps_the_head_that_software_gives_it():
    """8.2.3.8.4: frames that come meanwhile are dropped there, and nothing is written to RDH."""
    a, b = pair()
    a.tx_queue(), b.rx_queue()
    assert len(carry(a, b, [frame(64)] * 5)) == 5 and b.read(RDH[0]) == 5
    b.write(RXDCTL[0], 0)
    b.write(RDH[0], 0)
    assert carry(a, b, [frame(64)] * 3) == []
    assert b.read(RDH[0]) == 0 and b.clear(QPRDC[0]) == 3


def test_header_address_and_split_are_complained_about():
    a, b = pair()
    tx, rx = a.tx_queue(), b.rx_queue(kind=2)
    for at in range(63):
        poke(rx.ring, (1).to_bytes(8, "little"), at * 16 + 8)
    tx.send(frame(64))
    a.step()
    b.step()
    texts = b.violations()
    assert len(texts) == 2 and "header split" in texts[0] and "bit 0 of its header address" in texts[1]


def test_buffer_size_0_is_complained_about_when_a_frame_comes():
    a, b = pair()
    a.tx_queue(), b.rx_queue()
    b.write(RXDCTL[0], 0)
    b.write(SRRCTL[0], 1 << 25)
    b.write(RXDCTL[0], 1 << 25)
    b.step()
    assert b.violations() == []
    carry(a, b, [frame(64)] * 3)
    (text,) = b.violations()
    assert "BSIZEPACKET" in text


# ---- bad packets --------------------------------------------------------------------------------------------------


def test_store_bad_packets():
    a, b = pair(corrupt=1.0)
    a.tx_queue()
    rx = b.rx_queue()
    a.tx[0].send(frame(64))
    a.step()
    b.step()
    assert rx.take() == [] and b.clear(CRCERRS) == 1 and b.clear(TPR) == 1 and b.clear(GPRC) == 0
    b.write(FCTRL, FCTRL.pack(SBP=1, BAM=1, UPE=1, MPE=1))
    a.tx[0].send(frame(64))
    a.step()
    b.step()
    (got,) = rx.take()
    assert got.status & d.RXD_ERR_RXE and b.clear(CRCERRS) == 1
    assert sum(x != y for x, y in zip(got.data, frame(64), strict=True)) == 1, "one bit is wrong"


@pytest.mark.parametrize(
    ("jumbo", "size", "tagged", "passes"),
    [
        (False, 1518, False, True),
        (False, 1519, False, False),
        (False, 1522, True, True),
        (False, 1523, True, False),
        (True, 9728, False, True),
        (True, 9729, False, False),
        (True, 9732, True, True),
    ],
)
def test_longest_frame(jumbo, size, tagged, passes):
    """`size` with FCS."""
    a, b = jumbo_pair()
    b.write(HLREG0, HLREG0.resets | jumbo << 2)
    a.write(MAXFRS, 15000 << 16)
    a.tx_queue(n=8), b.rx_queue(n=8, kib=16)
    text = frame(size - 4, etype=0x8100 if tagged else 0x88B5)
    assert len(carry(a, b, [text])) == passes
    assert b.registers.peek(0x040A8 + 4) == (not passes)  # ROC
