# SPDX-License-Identifier: BSD-3-Clause
"""Every counter of both directions, at its edges and at its end."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataplane.pmd import datasheet
from dataplane.pmd.datasheet import (
    BPRC,
    BPTC,
    FCTRL,
    GORCL,
    GOTCL,
    GPRC,
    GPTC,
    HLREG0,
    LXOFFRXCNT,
    LXONRXCNT,
    MAXFRS,
    MFLCN,
    MPRC,
    MPTC,
    PXOFFRXCNT,
    PXONRXCNT,
    RLEC,
    ROC,
    RUC,
    RXDGBCL,
    RXDGPC,
    RXDSTATCTRL,
    RXNFGBCL,
    RXNFGPC,
    TORL,
    TPR,
    TPT,
    TXDGBCL,
    TXDGPC,
)
from tests.pmd.model.rig import MAC, PEER, carry, frame, pair

BINS = ("64", "127", "255", "511", "1023", "1522")
PAUSE = bytes.fromhex("0180c2000001") + PEER + b"\x88\x08"


def prepare(**options):
    a, b = pair(2 << 20, **options)
    b.write(FCTRL, FCTRL.pack(UPE=1, MPE=1, BAM=1))
    for port in (a, b):
        port.write(HLREG0, HLREG0.resets | 1 << 2)
        port.write(MAXFRS, 9728 << 16)
    a.tx_queue(n=64), b.rx_queue(n=64, kib=16)
    b.write(RXDSTATCTRL, 0x10)
    return a, b


def bin_of(size: int) -> str:
    return next((name for name in BINS[:-1] if size <= int(name)), BINS[-1])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([60, 61, 123, 124, 251, 252, 507, 508, 1019, 1020, 1514, 9000])
            | st.integers(60, 2000),
            st.sampled_from([MAC, b"\xff" * 6, bytes.fromhex("01005e000001"), bytes.fromhex("333300000001")]),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_good_frames(frames):
    a, b = prepare()
    carry(a, b, [frame(size, dst=to) for size, to in frames])
    count, total = len(frames), sum(size + 4 for size, _ in frames)
    broadcast = sum(to == b"\xff" * 6 for _, to in frames)
    multicast = sum(to[0] & 1 for _, to in frames) - broadcast
    assert [a.clear(x) for x in (GPTC, TPT, TXDGPC, BPTC, MPTC)] == [
        count,
        count,
        count,
        broadcast,
        multicast,
    ]
    assert [b.clear(x) for x in (GPRC, TPR, RXNFGPC, RXDGPC, BPRC, MPRC)] == [count] * 4 + [
        broadcast,
        multicast,
    ]
    assert [a.clear(GOTCL), b.clear(GORCL), b.clear(TORL), b.clear(RXNFGBCL)] == [total] * 4
    assert a.clear(TXDGBCL) == b.clear(RXDGBCL) == total - 4 * count
    for name in BINS:
        expected = sum(bin_of(size + 4) == name for size, _ in frames)
        assert (
            a.clear(getattr(datasheet, f"PTC{name}")) == b.clear(getattr(datasheet, f"PRC{name}")) == expected
        )


def test_refused_frames_are_counted_apart():
    a, b = prepare()
    b.write(FCTRL, 0)
    carry(a, b, [frame(100, dst=PEER), frame(100)])
    assert (b.clear(GPRC), b.clear(RXNFGPC), b.clear(TPR), b.clear(TORL)) == (1, 2, 2, 208)


@pytest.mark.parametrize(("corrupt", "short", "long"), [(0.0, RUC, ROC), (1.0, datasheet.RFC, datasheet.RJC)])
def test_too_short_and_too_long(corrupt, short, long):
    a, b = prepare(corrupt=corrupt)
    a.write(HLREG0, HLREG0.resets & ~(1 << 10) | 1 << 2)
    b.write(HLREG0, HLREG0.resets)
    carry(a, b, [frame(59), frame(1515)])
    assert (b.clear(short), b.clear(long), b.clear(TPR), b.clear(GPRC), b.clear(TORL)) == (
        1,
        1,
        2,
        0,
        63 + 1519,
    )
    assert b.clear(datasheet.CRCERRS) == 0, "a frame has one fault"


def test_queue_selected_for_the_dma_counters():
    a, b = prepare()
    b.write(RXDSTATCTRL, 1)
    carry(a, b, [frame(64)])
    assert b.clear(RXDGPC) == 0
    b.write(RXDSTATCTRL, 0)
    carry(a, b, [frame(64)])
    assert b.clear(RXDGPC) == 1


def test_length_errors():
    a, b = prepare()
    good = [frame(60, etype=46), frame(60, etype=3), frame(114, etype=100), frame(114, etype=0x600)]
    bad = [frame(60, etype=47), frame(114, etype=99), frame(114, etype=101), frame(114, etype=0)]
    assert len(carry(a, b, good)) == 4 and b.clear(RLEC) == 0
    assert len(carry(a, b, bad)) == 4 and b.clear(RLEC) == 4
    b.write(HLREG0, b.read(HLREG0) & ~(1 << 27))
    carry(a, b, bad)
    assert b.clear(RLEC) == 0


def test_pause_frames_are_eaten():
    a, b = prepare()
    off, on = PAUSE + bytes.fromhex("0001ffff") + bytes(42), PAUSE + bytes.fromhex("00010000") + bytes(42)
    assert carry(a, b, [off, off, on]) == []
    assert (b.clear(LXOFFRXCNT), b.clear(LXONRXCNT), b.clear(MPRC), b.clear(TPR)) == (2, 1, 0, 3)
    b.write(MFLCN, 1)  # PMCF
    assert len(carry(a, b, [off])) == 1 and b.clear(LXOFFRXCNT) == 1


def test_priority_pause():
    a, b = prepare()
    times = b"".join((0 if n == 6 else 9).to_bytes(2, "big") for n in range(8))
    assert (
        carry(a, b, [(PAUSE + bytes.fromhex("01010042") + times).ljust(60, b"\0")]) == []
    )  # classes 1 and 6
    assert [b.clear(PXOFFRXCNT[n]) for n in range(8)] == [0, 1, 0, 0, 0, 0, 0, 0]
    assert [b.clear(PXONRXCNT[n]) for n in range(8)] == [0, 0, 0, 0, 0, 0, 1, 0]


def test_counters_stick_at_their_end():
    a, b = prepare()
    b.registers.poke(GPRC.offset, 0xFFFFFFFE)
    b.registers.poke(GORCL.offset, 0xFFFFFFF0)
    b.registers.poke(GORCL.offset + 4, 0xF)
    b.registers.poke(LXOFFRXCNT.offset, 0xFFFF)
    carry(a, b, [frame(64)] * 3 + [PAUSE + bytes.fromhex("0001ffff") + bytes(42)])
    assert b.clear(GPRC) == 0xFFFFFFFF and b.clear(GORCL) == 0xFFFFFFFFF and b.clear(LXOFFRXCNT) == 0xFFFF


def test_byte_counters_carry_into_the_high_word():
    a, b = prepare()
    b.registers.poke(GORCL.offset, 0xFFFFFFF0)
    carry(a, b, [frame(96)])
    assert b.clear(GORCL) == 0xFFFFFFF0 + 100
