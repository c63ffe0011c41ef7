# SPDX-License-Identifier: BSD-3-Clause
"""Latency against stamps made by hand: every figure is known beforehand."""

import random
import struct
import time

import pytest
from scapy.layers.inet import IP, UDP

from dataplane.apps.latency import Latency
from dataplane.apps.pktgen import PktGen
from dataplane.apps.trial import Trial
from dataplane.clock import cycles, hz


def stamped(sequence, age_ns=1000.0, length=60):
    sent = int(cycles() - age_ns * hz() / 1e9) % 2**64  # a machine may be younger than the packet
    return bytes(length - 16) + b"dpla" + struct.pack(">IQ", sequence & 0xFFFFFFFF, sent)


def summary(frames, **keywords):
    with Trial(Latency(), **keywords) as trial:
        trial.push(frames)
        assert trial.out["out"] == list(frames)
        return trial.app.summary()


def counts(found):
    return {name: found[name] for name in ("received", "lost", "reordered", "duplicates", "foreign")}


def expect(received=0, lost=0, reordered=0, duplicates=0, foreign=0):
    return {
        "received": received,
        "lost": lost,
        "reordered": reordered,
        "duplicates": duplicates,
        "foreign": foreign,
    }


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (range(100), expect(100)),
        ([0, 1, 3, 4], expect(4, lost=1)),
        ([5, 6], expect(2, lost=5)),
        ([0, 2, 1, 3], expect(4, reordered=1)),
        ([0, 3, 2, 1, 4], expect(5, reordered=2)),
        ([0, 1, 1, 2, 2, 2], expect(6, duplicates=3)),
        ([0, 2, 2, 1, 1], expect(5, reordered=1, duplicates=2)),
        ([0, 70_000, 1, 69_999, 69_999], expect(5, lost=70_001 - 4, reordered=2, duplicates=1)),
        ([], expect()),
    ],
)
def test_lost_reordered_and_duplicates(order, expected):
    assert counts(summary([stamped(number) for number in order])) == expected


def test_the_sequence_number_wraps_at_32_bits():
    """From 0 to 2**32 in steps the counter can follow, then over the end."""
    step = (1 << 31) - 1
    found = summary(
        [stamped(number) for number in (0, step, 2 * step, (1 << 32) - 1, 1 << 32, (1 << 32) + 1)]
    )
    assert counts(found) == expect(6, lost=(1 << 32) + 2 - 6)


def test_against_a_plain_model_of_loss_and_disorder():
    generator = random.Random(7)
    order = [
        number + generator.randrange(40)
        for number in range(3000)
        for _ in range(generator.choice([0, 1, 1, 2]))
    ]
    seen, highest, model = set(), -1, expect(len(order))
    for number in order:
        if number in seen:
            model["duplicates"] += 1
        elif number < highest:
            model["reordered"] += 1
        highest = max(highest, number)
        seen.add(number)
    model["lost"] = highest + 1 - len(seen)
    assert counts(summary([stamped(number) for number in order], n=256)) == model


def test_frames_without_a_stamp_are_foreign():
    frames = [b"", b"short", bytes(15), bytes(60), stamped(0), stamped(0)[:-1]]
    assert counts(summary(frames)) == expect(1, foreign=5)


@pytest.mark.parametrize("segment", [10, 45, 52, 59])
def test_a_stamp_across_segments_is_read(segment):
    assert counts(summary([stamped(number) for number in range(5)], segment=segment)) == expect(5)


@pytest.mark.parametrize("age_ns", [50_000, 5_000_000, 2_000_000_000])
def test_latency_is_right_within_a_bucket(age_ns):
    started = time.monotonic_ns()
    found = summary([stamped(number, age_ns) for number in range(64)])
    passed = time.monotonic_ns() - started
    for name in ("min_ns", "mean_ns", "median_ns", "p99_ns", "max_ns"):
        assert age_ns * 0.98 <= found[name] <= (age_ns + passed) * 1.02, name
    assert found["min_ns"] <= found["median_ns"] <= found["p99_ns"] <= found["p999_ns"] <= found["max_ns"]


def test_quantiles_follow_the_distribution():
    """1 to 1000 s, one packet each: the median is 500 s, the 99th percentile 990 s."""
    ages = [1e9 * number for number in range(1, 1001)]
    random.Random(1).shuffle(ages)
    found = summary([stamped(number, age) for number, age in enumerate(ages)])
    assert found["median_ns"] == pytest.approx(500e9, rel=0.03)
    assert found["p99_ns"] == pytest.approx(990e9, rel=0.03)
    assert found["min_ns"] == pytest.approx(1e9, rel=1)
    assert found["max_ns"] == pytest.approx(1000e9, rel=0.01)


def test_nothing_received_has_no_latency_and_knows_what_was_sent():
    app = Latency()
    assert app.summary(sent=7)["lost"] == 7
    assert app.summary()["median_ns"] is None and app.summary()["min_ns"] is None


def test_the_generators_own_stamps_are_understood():
    with Trial(PktGen(IP(dst="10.0.0.0/28") / UDP(sport=(1, 100)), stamp=True, count=1000)) as trial:
        trial.poll(100)
        frames = trial.out["out"]
    time.sleep(0.01)
    with Trial(Latency()) as trial:
        trial.push(frames[:400] + frames[500:990])
        found = trial.app.summary(sent=1000)
        assert counts(found) == expect(890, lost=110)
        assert trial.app.lost == 100
        assert found["min_ns"] > 10e6
