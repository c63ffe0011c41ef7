# SPDX-License-Identifier: BSD-3-Clause
"""L2Fwd, Counter, Sink and Tee: the frames that go in and those that come out."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataplane.apps.counter import Counter, Sink
from dataplane.apps.l2fwd import L2Fwd
from dataplane.apps.tee import Tee
from dataplane.apps.trial import Trial
from dataplane.errors import ConfigError
from dataplane.mempool import Mempool

FRAMES = [bytes((number + at) % 256 for at in range(60 + number)) for number in range(70)]
SRC, DST = bytes.fromhex("0200000000aa"), bytes.fromhex("0200000000bb")


@pytest.mark.parametrize("src", [None, "02:00:00:00:00:aa"])
@pytest.mark.parametrize("dst", [None, "02:00:00:00:00:BB"])
@pytest.mark.parametrize("segment", [2048, 25])
def test_l2fwd_writes_the_addresses_it_was_given_and_nothing_else(src, dst, segment):
    with Trial(L2Fwd(src=src, dst=dst), segment=segment) as trial:
        trial.push(FRAMES)
    expected = [(DST if dst else frame[:6]) + (SRC if src else frame[6:12]) + frame[12:] for frame in FRAMES]
    assert trial.out["out"] == expected
    assert trial.drops == {}


def test_l2fwd_refuses_what_is_no_address():
    for bad in ("", "02:00:00:00:00", "eth0", "02:00:00:00:00:0g"):
        with pytest.raises(ConfigError, match="no MAC address"):
            L2Fwd(dst=bad)


def test_counter_counts_and_passes_on():
    with Trial(Counter()) as trial:
        trial.push(FRAMES, burst=64)
        assert (trial.app.packets, trial.app.bytes) == (70, sum(map(len, FRAMES)))
        assert trial.counts == {"out": (70, sum(map(len, FRAMES)), 2)}
    assert trial.out["out"] == FRAMES


def test_sink_frees():
    with Trial(Sink(), segment=20) as trial:
        trial.push(FRAMES)
        assert (trial.app.packets, trial.app.bytes) == (70, sum(map(len, FRAMES)))
        assert trial.mempool.in_use == 0
    assert trial.drops == {}


@pytest.mark.parametrize("copies", [1, 2, 5])
@pytest.mark.parametrize("segment", [2048, 30])
def test_tee_copies_go_out_beside_the_original(copies, segment):
    pool = Mempool(1024, debug=True, data_room=128)
    with Trial(Tee(copies, mempool=pool), segment=segment) as trial:
        trial.push(FRAMES)
    assert len(trial.out) == copies + 1
    for edge, frames in trial.out.items():
        assert frames == FRAMES, edge
    assert pool.in_use == 0
    pool.check()


@given(st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=40), st.integers(1, 90))
@settings(max_examples=25, deadline=None)
def test_tee_copies_longer_than_a_segment_are_chained(frames, segment):
    pool = Mempool(512, debug=True, data_room=64)
    with Trial(Tee(mempool=pool), segment=segment, n=2048) as trial:
        trial.push(frames)
    assert trial.out == {"out": frames, "copy": frames}
    assert pool.in_use == 0


def test_tee_without_mbufs_drops_copies_by_name_and_passes_the_original():
    pool = Mempool(20, debug=True)
    with Trial(Tee(2, mempool=pool)) as trial:
        trial.push(FRAMES[:32])
        assert trial.drops == {"no_mbuf": 24}  # each copy's edge gives back its 20 before the next
        assert trial.out["out"] == FRAMES[:32]
        assert trial.out["copy1"] == FRAMES[:20] == trial.out["copy2"]
        trial.push(FRAMES[:20])
        assert trial.drops == {"no_mbuf": 24}
    assert pool.in_use == 0


def test_tee_copies_nothing_for_an_edge_that_leads_nowhere():
    pool = Mempool(64, debug=True)
    with Trial(Tee(2, mempool=pool), unconnected=("copy1",)) as trial:
        trial.push(FRAMES)
    assert set(trial.out) == {"out", "copy2"}
    assert trial.out["copy2"] == FRAMES
    assert trial.drops == {}


@pytest.mark.parametrize("copies", [0, -1, 16, 1.5, True])
def test_tee_refuses_impossible_numbers(copies):
    with pytest.raises(ConfigError, match="a Tee makes 1 to 15 copies"):
        Tee(copies)
