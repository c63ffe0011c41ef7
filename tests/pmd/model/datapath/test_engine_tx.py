# SPDX-License-Identifier: BSD-3-Clause
"""Transmit: from descriptors of every kind to the bytes on the wire, and back to DD."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataplane.pmd.datasheet import (
    GOTCL,
    GPTC,
    HLREG0,
    QBTC_L,
    QPTC,
    TDH,
    TDT,
    TQSM,
    TXDCTL,
)
from tests.pmd.model.rig import DATA, DEXT, EOP, IFCS, RS, carry, frame, pair, peek, poke

PLAIN = DATA | DEXT | IFCS | EOP | RS


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(17, 1514), st.integers(1, 8)), min_size=1, max_size=30))
def test_frames_in_pieces(sizes):
    a, b = pair()
    tx, rx = a.tx_queue(n=512), b.rx_queue(n=64)
    sent = []
    for size, pieces in sizes:
        sent.append(frame(size, fill=size & 0xFF))
        tx.send(sent[-1], min(pieces, size))
    a.step(2)
    b.step(2)
    assert [got.data for got in rx.take()] == [f.ljust(60, b"\0") for f in sent]
    assert a.violations() == [] and tx.head == tx.tail
    assert a.clear(GPTC) == len(sent) and a.clear(GOTCL) == sum(max(len(f), 60) + 4 for f in sent)


def test_every_ring_size_wraps():
    for n in (8, 16, 24, 4096):
        a, b = pair()
        tx, rx = a.tx_queue(n=n), b.rx_queue(n=64)
        for i in range(3 * n + 5 if n < 100 else n * 3 // 5):
            tx.send(frame(60 + i % 40), pieces=1 + i % 3)
            a.step()
            b.step()
            assert [len(got.data) for got in rx.take()] == [60 + i % 40]
        assert tx.head == tx.tail


def test_a_full_ring_is_length_minus_one():
    a, b = pair()
    tx, rx = a.tx_queue(n=8), b.rx_queue()
    for _ in range(7):
        tx.send(frame(64), ring_bell=False)
    tx.bell()
    a.step()
    b.step()
    assert len(rx.take()) == 7 and [tx.done(at) for at in range(8)] == [True] * 7 + [False]


def test_legacy_descriptors():
    a, b = pair()
    tx, rx = a.tx_queue(), b.rx_queue()
    text = frame(100)
    tx.put(tx.place(text[:30]), 30)
    at = tx.put(tx.place(text[30:]), 70 | EOP | IFCS | RS)
    tx.bell()
    a.step()
    b.step()
    assert [got.data for got in rx.take()] == [text]
    assert tx.done(at) and not tx.done(at - 1) and a.violations() == []


def test_legacy_tag_and_checksum():
    a, b = pair()
    tx, rx = a.tx_queue(), b.rx_queue()
    text = frame(100)
    tx.put(tx.place(text), 100 | 40 << 16 | EOP | IFCS | RS | 1 << 26 | 1 << 30 | 20 << 40 | 0x2123 << 48)
    tx.bell()
    a.step()
    b.step()
    (got,) = rx.take()
    words = struct.unpack(">40H", text[20:])
    total = sum(words)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    expected = text[:40] + struct.pack(">H", ~total & 0xFFFF) + text[42:]
    assert got.data == expected[:12] + b"\x81\x00\x21\x23" + expected[12:]


def test_tag_from_the_context():
    a, b = pair()
    tx, rx = a.tx_queue(), b.rx_queue()
    tx.context(14, 20, vlan=0x6064, slot=1)
    tx.context(14, 20, vlan=0x0001, slot=0)
    tx.send(frame(80), command=1 << 30, upper=1 << 4)
    tx.send(frame(80), command=1 << 30, upper=0 << 4)
    tx.send(frame(80))
    a.step()
    b.step()
    tags = [got.data[12:16] for got in rx.take()]
    assert tags == [b"\x81\x00\x60\x64", b"\x81\x00\x00\x01", frame(80)[12:16]]
    assert not tx.done(0) and not tx.done(1), "context descriptors are not reported"


@pytest.mark.parametrize("right", [True, False])
def test_fcs_by_software(right):
    import zlib

    a, b = pair()
    tx, rx = a.tx_queue(), b.rx_queue()
    text = frame(96)
    whole = text + struct.pack("<I", zlib.crc32(text) ^ (0 if right else 1))
    tx.put(tx.place(whole), (DATA | DEXT | EOP | RS | 100) | 100 << 46)
    tx.bell()
    a.step()
    b.step()
    assert [got.data for got in rx.take()] == ([text] if right else [])
    assert b.read(HLREG0) and b.registers.peek(0x04000) == (0 if right else 1)  # CRCERRS


def test_without_padding_runts_leave():
    a, b = pair()
    a.write(HLREG0, HLREG0.resets & ~(1 << 10))
    tx, rx = a.tx_queue(), b.rx_queue()
    tx.send(frame(40))
    a.step()
    b.step()
    assert rx.take() == [] and b.registers.peek(0x040A4) == 1  # RUC
    assert a.clear(GOTCL) == 44


def test_head_write_back():
    a, b = pair()
    b.rx_queue(n=128)
    home = a.arena.alloc(64)
    poke(home, b"\xff" * 4)
    tx = a.tx_queue(head_wb=home.iova)
    tx.send(frame(64), pieces=3)
    a.step()
    assert peek(home, 4) == struct.pack("<I", 3)
    assert not any(tx.done(at) for at in range(3)), "the head stands for DD"
    tx.put(tx.place(frame(64)), (PLAIN & ~RS | 64) | 64 << 46)
    tx.bell()
    a.step()
    assert peek(home, 4) == struct.pack("<I", 3), "without RS nothing is written"


def test_only_rs_is_reported():
    a, _ = pair()
    tx = a.tx_queue()
    for n in range(8):
        tx.put(tx.place(frame(64)), (PLAIN & ~RS | (RS if n % 4 == 3 else 0) | 64) | 64 << 46)
    tx.bell()
    a.step()
    assert [tx.done(at) for at in range(8)] == [False, False, False, True] * 2


def test_wthresh_groups_and_does_not_keep():
    a, _ = pair()
    tx = a.tx_queue(n=128, txdctl=8 << 16)
    for _ in range(40):
        tx.send(frame(64), ring_bell=False)
    tx.bell()
    a.engine.run(5)  # a turn of five packets: fewer than WTHRESH
    assert tx.head == 5 and not any(tx.done(at) for at in range(40))
    a.engine.run(5)
    assert tx.head == 10 and [tx.done(at) for at in range(11)] == [True] * 10 + [False]
    a.step(2)
    assert all(tx.done(at) for at in range(40)), "an idle queue has written everything back"


def test_queues_take_turns():
    a, b = pair(1 << 20)
    rx = b.rx_queue(n=128, kib=1)
    for queue in range(3):
        tx = a.tx_queue(queue, n=128)
        for _ in range(64):
            tx.send(frame(64 + queue), ring_bell=False)
        tx.bell()
    a.engine.run(96)
    b.step(4)
    lengths = [len(got.data) for got in rx.take()]
    assert sorted(lengths) == [64] * 32 + [65] * 32 + [66] * 32


def test_all_queues_and_their_counters():
    a, b = pair(4 << 20)
    rx = b.rx_queue(n=256)
    for queue in range(64):
        a.write(TQSM[queue // 4], sum(((queue & ~3) + i & 15) << 8 * i for i in range(4)))
        a.tx_queue(queue, n=8).send(frame(60 + queue))
    a.step(4)
    b.step(4)
    assert sorted(len(got.data) for got in rx.take()) == list(range(60, 124))
    for counter in range(16):
        assert a.clear(QPTC[counter]) == 4
        assert a.clear(QBTC_L[counter]) == sum(60 + queue for queue in range(counter, 64, 16))
    assert a.violations() == []


def test_queue_64_needs_pools():
    a, _ = pair()
    a.tx_queue(64).send(frame(64))
    a.step(3)
    assert a.violations() == [
        "queue 64: queue 64 does not transmit: without pools and traffic classes only queues 0 to 63 do"
    ]
    assert a.read(TDH[64]) == 0


def test_disable_and_enable():
    a, b = pair()
    tx, rx = a.tx_queue(), b.rx_queue()
    a.write(TXDCTL[0], 0)
    tx.send(frame(64))
    assert a.step(3) == 0 and b.step() == 0
    a.write(TXDCTL[0], 1 << 25)
    a.step()
    b.step()
    assert len(rx.take()) == 1


@pytest.mark.parametrize("what", ["TE", "link", "wire"])
def test_what_keeps_frames_back(what):
    a, b = pair()
    tx, rx = a.tx_queue(), b.rx_queue()
    if what == "TE":
        a.write(0x04A80, 0x8100_0000)
    elif what == "link":
        a.engine.set_link(False)
    else:
        a.engine.unplug()
    tx.send(frame(64))
    assert a.step(3) == 0 and tx.head == 0 and not tx.done(0)
    assert b.step() == 0 and rx.take() == []


def test_loopback_inside_the_chip():
    a, b = pair()
    a.write(HLREG0, HLREG0.resets | 1 << 15)
    a.engine.set_link(False)
    tx, rx = a.tx_queue(), a.rx_queue()
    tx.send(frame(200))
    a.step()
    assert [got.data for got in rx.take()] == [frame(200)]
    assert b.step() == 0


# ---- nonsense ----------------------------------------------------------------------------------------------------


def raw(size: int, flags: int, payload: int | None = None) -> int:
    return size | flags | (size if payload is None else payload) << 46


@pytest.mark.parametrize(
    ("descriptors", "complaint", "sent"),
    [
        ([raw(0, PLAIN, 0)], "buffer of 0 bytes", 0),
        ([raw(64, PLAIN & ~EOP), raw(0, PLAIN)], "buffer of 0 bytes", 1),
        ([raw(64, PLAIN, 63)], "PAYLEN", 1),
        ([raw(10, PLAIN)], "10 bytes: what the chip does below 17 is undefined", 1),
        ([raw(17000, PLAIN)], "buffer of 17000 bytes", 0),
        ([raw(9000, PLAIN & ~EOP, 18000), raw(9000, PLAIN)], "at most 15868", 0),
        ([raw(64, 1 << 20 | DEXT | EOP | RS)], "of no kind", 0),
        ([raw(64, PLAIN & ~EOP), raw(64, EOP | IFCS | RS)], "of no kind", 0),
        ([raw(64, PLAIN & ~EOP), 2 << 20 | DEXT, raw(64, PLAIN)], "context descriptor at 1", 0),
        ([raw(2, PLAIN & ~EOP, 84)] * 41 + [raw(2, PLAIN)], "more than 40 descriptors", 1),
        ([raw(2000, PLAIN)], "more than MAXFRS", 1),
        ([raw(64, PLAIN) | 1 << 41], "offload", 1),
        ([raw(64, PLAIN) | 1 << 42], "asks for IPsec", 1),
        ([raw(64, PLAIN | 1 << 18)], "asks for IPsec or LinkSec", 1),
        ([2 << 20 | DEXT | 1 << 15, raw(64, PLAIN) | 1 << 41], "FCoE", 1),
    ],
)
def test_nonsense_is_noted_and_survived(descriptors, complaint, sent):
    a, b = pair()
    tx, rx = a.tx_queue(n=64), b.rx_queue()
    for words in descriptors:
        tx.put(tx.room.iova, words)
    tx.send(frame(64))
    a.step(2)
    assert complaint in a.violations()[0]
    b.step()
    assert rx.take()[-1].data == frame(64), "the next packet leaves"
    assert a.clear(GPTC) == sent + 1 and tx.head == tx.tail


def test_a_context_alone_asks_for_no_security():
    """Its IPsec and FCoE bits count when a packet uses them."""
    a, b = pair()
    tx, rx = a.tx_queue(n=16), b.rx_queue()
    tx.put(0x3FF << 32, 2 << 20 | DEXT | 7 << 13)
    tx.send(frame(64))
    a.step(2)
    b.step()
    assert a.violations() == [] and [got.data for got in rx.take()] == [frame(64)]


def test_no_end_of_packet():
    a, b = pair()
    tx, rx = a.tx_queue(n=16), b.rx_queue()
    tx.put(tx.place(frame(64)), raw(64, PLAIN & ~EOP, 128))
    tx.bell()
    a.step(5)
    assert a.violations() == [
        "queue 0: the tail moved to 1 in the middle of the packet that starts at descriptor 0"
    ]
    assert tx.head == 0
    tx.put(tx.place(bytes(64)), raw(64, PLAIN, 128))
    tx.bell()
    a.step()
    b.step()
    assert [got.data for got in rx.take()] == [frame(64) + bytes(64)] and a.violations() == []


def test_tail_beyond_the_end():
    a, _ = pair()
    tx = a.tx_queue(n=64)
    tx.send(frame(64))
    a.registers.poke(TDT[0].offset, 64)
    a.step(3)
    assert (
        a.violations() == ["queue 0: tail 64 is beyond the end of a descriptor ring of 64"] and tx.head == 0
    )
    tx.bell()
    a.step()
    assert tx.head == 1


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1)), max_size=63), st.booleans())
def test_random_descriptors_do_no_harm(descriptors, near):
    """Anything at all in the ring: no crash, no hang, every fault recorded, and a proper packet leaves afterwards."""
    a, b = pair(1 << 20)
    tx, rx = a.tx_queue(n=64), b.rx_queue(n=256)
    for low, high in descriptors:
        tx.put(tx.room.iova + low % 65536 if near else low, high)
    tx.bell()
    for _ in range(20):
        a.step()
        b.step()
        rx.take()
    assert tx.head < 64
    a.write(TXDCTL[0], 0)
    a.write(TDH[0], 0)
    tx.tail = tx.used = 0
    a.write(TDT[0], 0)
    a.write(TXDCTL[0], 1 << 25)
    assert carry(a, b, [frame(64)])[-1].data == frame(64)
