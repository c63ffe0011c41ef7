# SPDX-License-Identifier: BSD-3-Clause
"""Every width of the kernels does what the scalar form does, byte for byte, on descriptors and mbufs of all kinds."""

import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.loops import kernels
from dataplane.pmd.datasheet import descriptors as d
from dataplane.pmd.ixgbe.queues.kernels import widths

WIDE = widths()[1:]
DD, EOP = d.RXD_STAT_DD, d.RXD_STAT_EOP
VLAN, IP, UDP, TCP, TSO, IPV4, IPV6 = (1 << bit for bit in range(32, 39))
KIND = VLAN | IP | UDP | TCP | TSO | IPV4

u16, u32, u64 = (st.integers(0, (1 << bits) - 1) for bits in (16, 32, 64))
skips = st.integers(0, 3)


def written_back(noise: random.Random, ends: int) -> bytes:
    """A descriptor of which only the last two bits of the status are chosen."""
    return noise.randbytes(8) + (noise.getrandbits(30) << 2 | ends).to_bytes(4, "little") + noise.randbytes(4)


@st.composite
def rings(draw):
    """Descriptors as the NIC leaves them: DD up to a place, from there on none; some without EOP."""
    noise = random.Random(draw(u64))
    done = draw(st.integers(0, 70))
    packets = [written_back(noise, DD | EOP) for _ in range(done)]
    for at in draw(st.lists(st.integers(0, 69), max_size=2)):
        if at < done:
            packets[at] = written_back(noise, DD)
    return packets + [written_back(noise, draw(st.sampled_from([0, EOP])))] * draw(st.integers(0, 20))


@pytest.mark.skipif(not WIDE, reason="this CPU has no vectors")
@given(rings(), st.binary(min_size=48, max_size=48), u64, skips)
def test_take(packets, rules, rearm, skip):
    expected = kernels.take("scalar", b"".join(packets), rules, rearm, skip)
    whole = [packet[8] & 3 == 3 for packet in packets]
    assert expected[0] == (whole.index(False) if False in whole else len(whole))
    for name in WIDE:
        assert kernels.take(name, b"".join(packets), rules, rearm, skip) == expected, name


def test_take_says_what_the_descriptor_says():
    rules = bytes(range(16)) + b"\xff" * 32
    word = struct.pack("<IIIHH", 0x2A5 << 4 | 7, 0x12345678, 9 << 3 | DD | EOP, 60, 0x7001)
    for name in widths():
        count, indices, mbufs = kernels.take(name, word * 33, rules, 0x1122334455667788)
        assert count == 33 and indices == list(range(33))
        line = mbufs[32 * 128 : 33 * 128]
        assert struct.unpack("<QQIIHHI", line[16:48]) == (
            0x1122334455667788, 9, 0x2A5, 60, 60, 0x7001, 0x12345678
        )  # fmt: skip
        assert set(line[:16] + line[48:]) == {0xA5}  # nothing else is touched


@given(st.lists(u64, max_size=40), skips)
def test_arm(iovas, skip):
    expected = b"".join(struct.pack("<QQ", iova + 128 & (1 << 64) - 1, 0) for iova in iovas)
    for name in widths():
        assert kernels.arm(name, iovas, skip) == expected, name


def line(start, offset, nb_segs, flags, length, tag, heads, pool, noise):
    return struct.pack(
        "<QQHHHHQIIHHIHHHHQ",
        noise, start, offset, 1, nb_segs, noise & 0xFFFF, flags, noise >> 32, length, length, tag,
        noise & 0xFFFFFFFF, noise & 0xFFFF, noise >> 48, heads & 0xFFFF, heads >> 16, pool,
    )  # fmt: skip


POOL = 0x7F12_3456_7880
plain = {
    "flags": 0, "command": 0x2B300000, "headers": 0, "headers_mask": 0, "tag": 0, "tag_mask": 0,
    "shortest": 17, "longest": 1514,
}  # fmt: skip
offloaded = {
    "flags": VLAN | IP | UDP | IPV4, "command": 0x6B300000 | 0x310 << 32, "headers": 20 << 16 | 14,
    "headers_mask": 0xFFFFFFFF, "tag": 0x6064, "tag_mask": 0xFFFF, "shortest": 42, "longest": 9710,
}  # fmt: skip


@st.composite
def bursts(draw):
    """(alike, mbufs): as `alike` says, with noise wherever it says nothing; and a few that are odd in one thing."""
    alike = draw(st.sampled_from([plain, offloaded]))
    noise = random.Random(draw(u64))
    n = draw(st.integers(0, 40))
    packets = [
        {
            "start": noise.getrandbits(64), "offset": noise.getrandbits(16), "nb_segs": 1,
            "flags": alike["flags"] | noise.getrandbits(64) & ~KIND,
            "length": noise.randint(alike["shortest"], alike["longest"]),
            "tag": alike["tag"] if alike["tag_mask"] else noise.getrandbits(16),
            "heads": alike["headers"] if alike["headers_mask"] else noise.getrandbits(32),
            "pool": POOL, "noise": noise.getrandbits(64),
        }
        for _ in range(n)
    ]  # fmt: skip
    odd = {
        "nb_segs": u16, "flags": u64, "tag": u16, "heads": u32, "pool": u64,
        "length": u16 | st.sampled_from([16, 17, 41, 42, 1514, 1515, 9710, 9711, 32767, 32768]),
    }  # fmt: skip
    for at, what in draw(st.lists(st.tuples(st.integers(0, 39), st.sampled_from(sorted(odd))), max_size=3)):
        if at < n:
            packets[at][what] = draw(odd[what])
    return alike, [line(**packet) for packet in packets]


@pytest.mark.skipif(not WIDE, reason="this CPU has no vectors")
@given(bursts(), skips)
def test_put(burst, skip):
    alike, lines = burst
    expected = kernels.put("scalar", lines, alike, POOL, skip)
    for name in WIDE:
        assert kernels.put(name, lines, alike, POOL, skip) == expected, name


@pytest.mark.parametrize("alike", [plain, offloaded], ids=["plain", "offloaded"])
def test_put_writes_what_the_mbuf_says(alike):
    good = line(0x2000_1000, 130, 1, alike["flags"] | IPV6, 60, alike["tag"], alike["headers"], POOL, 1)
    word = struct.pack("<QQ", 0x2000_1000 + 130, alike["command"] | 60 | 60 << 46)
    for name in widths():
        assert kernels.put(name, [good] * 39, alike, POOL) == (39, word * 39, list(range(39)), 0)
        assert kernels.put(name, [good] * 9, alike, POOL ^ 0x40)[3] == 0x40
        for odd in (
            {"nb_segs": 2},
            {"flags": alike["flags"] ^ TCP},
            {"length": alike["shortest"] - 1},
            {"length": alike["longest"] + 1},
        ):
            told = {"nb_segs": 1, "flags": alike["flags"], "length": 60, **odd}
            bad = line(
                1, 0, told["nb_segs"], told["flags"], told["length"], alike["tag"], alike["headers"], POOL, 1
            )
            for at in range(9):
                burst = [good] * at + [bad] + [good] * 9
                assert kernels.put(name, burst, alike, POOL)[0] == at, (name, odd)


def test_put_minds_tag_and_headers_of_offloads_only():
    other = line(1, 128, 1, offloaded["flags"], 60, 0x6065, offloaded["headers"], POOL, 0)
    longer = line(1, 128, 1, offloaded["flags"], 60, offloaded["tag"], 24 << 16 | 14, POOL, 0)
    for name in widths():
        for burst in ([other] * 8, [longer] * 8):
            assert kernels.put(name, burst, offloaded, POOL)[0] == 0
        assert (
            kernels.put(name, [line(1, 128, 1, 0, 60, n, n << 16, POOL, 0) for n in range(8)], plain, POOL)[0]
            == 8
        )
