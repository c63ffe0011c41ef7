# SPDX-License-Identifier: BSD-3-Clause
"""Frames in flight: what a wire does to them is what was set, the same for the same seed, and each frame is accounted for.

Time is virtual and draws are seeded: nothing here depends on how busy the machine is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from math import sqrt
from statistics import fmean, pstdev

import pytest

from dataplane.errors import ConfigError
from dataplane.pmd.datasheet import CRCERRS, GPRC
from dataplane.pmd.model.netem.conditions import Netem
from dataplane.pmd.model.netem.flight import Flight
from tests.pmd.model.rig import frame, pair

NEVER = (1 << 64) - 1
LINE = 84 * 8  # bits that a frame of 60 bytes takes on the line


@dataclass
class Passage:
    """What became of frames 0 to n - 1: (number, when it was sent, when it arrived), as they came."""

    arrived: list[tuple[int, int, int]] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=dict)
    crc_errors: int = 0

    @property
    def numbers(self) -> list[int]:
        return [number for number, _, _ in self.arrived]

    @property
    def delays(self) -> list[int]:
        return [arrived - sent for _, sent, arrived in self.arrived]


def numbered(n: int, size: int = 60) -> bytes:
    return frame(size)[:-4] + n.to_bytes(4, "big")


def balanced(flight: Flight) -> bool:
    c = flight.counters
    return c["sent"] + c["duplicated"] == c["delivered"] + c["lost"] + c["overflowed"] + c["in_flight"]


def passage(count: int, gap: int = 0, *, tick: int = 0, burst: int = 1, size: int = 60, **netem) -> Passage:
    """Send `count` frames, `burst` of them every `gap` ns, and look every `tick` ns at what has arrived."""
    tick = tick or max(gap, 1)
    a, b = pair(2 << 20, **netem)
    a.tx_queue(n=512), b.rx_queue(n=512)
    flight, clock, found, sent_at = a.engine.wire.outward, a.clock, Passage(), []
    began, patience = clock.now_ns, 0
    while patience < 3:
        now = clock.now_ns - began
        for _ in range(min(burst, count - len(sent_at)) if not gap or now % gap == 0 else 0):
            a.tx[0].send(numbered(len(sent_at), size), ring_bell=False)
            sent_at.append(now)
        a.tx[0].bell()
        a.step(1 + burst // 64)
        b.step(2 + burst // 16)
        assert balanced(flight)
        for each in b.rx[0].take():
            number = int.from_bytes(each.data[-4:], "big")
            found.arrived.append((number, sent_at[number], now))
        clock.advance_ns(tick)
        patience = 0 if len(sent_at) < count or flight.in_flight else patience + 1
    found.counters, found.crc_errors = flight.counters, b.clear(CRCERRS)
    assert flight.sent == count and flight.in_flight == 0
    assert b.clear(GPRC) == len(found.arrived) and flight.delivered == len(found.arrived) + found.crc_errors
    return found


def likely(found: int, n: int, probability: float) -> bool:
    """Whether so many of n are what that probability brings about: within five standard deviations."""
    return abs(found - n * probability) < 5 * sqrt(n * probability * (1 - probability))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_each_effect_is_as_probable_as_it_was_set(seed):
    n = 20_000
    got = passage(n, burst=32, loss=0.01, corrupt=0.02, duplicate=0.05, seed=seed)
    c = got.counters
    assert likely(c["lost"], n, 0.01)
    assert likely(c["duplicated"], n - c["lost"], 0.05)
    assert likely(c["corrupted"], n - c["lost"] + c["duplicated"], 0.02) and c["corrupted"] == got.crc_errors
    assert c["delivered"] == n - c["lost"] + c["duplicated"]
    assert got.numbers == sorted(got.numbers) and c["late"] == c["reordered"] == c["overflowed"] == 0
    twice = len(got.numbers) - len(set(got.numbers))
    assert c["duplicated"] >= twice > c["duplicated"] * 0.8, "but for those of which a copy was corrupted"


def test_what_is_drawn_depends_on_seed_and_number_alone():
    """It does not depend on the times of steps, on other effects, or on the other direction."""
    ways = (
        {"burst": 1, "gap": 1000},
        {"burst": 50},
        {"burst": 7, "gap": 300, "delay_ns": 5000},
        {"burst": 3, "duplicate": 0.3},
    )
    survivors = [set(passage(2000, seed=5, loss=0.1, **way).numbers) for way in ways]
    assert survivors[0] == survivors[1] == survivors[2] == survivors[3]
    assert survivors[0] != set(passage(2000, seed=6, loss=0.1).numbers)
    whole = Netem(0.1, 0.1, 0.1, 0.1, delay_ns=900, jitter_ns=500, seed=5)
    runs = [passage(1000, gap=100, tick=tick, **vars(whole)) for tick in (20, 100)]
    assert sorted(runs[0].numbers) == sorted(runs[1].numbers) and runs[0].counters == runs[1].counters


def test_both_directions_draw_for_themselves():
    a, b = pair(loss=0.5)
    lost = []
    for near, far in ((a, b), (b, a)):
        near.tx_queue(n=64), far.rx_queue(n=64)
        for n in range(60):
            near.tx[0].send(numbered(n))
        near.step(2), far.step(4)
        lost.append([int.from_bytes(each.data[-4:], "big") for each in far.rx[0].take()])
    assert lost[0] != lost[1]


def test_a_delay_is_never_shorter_than_it_was_set():
    got = passage(500, gap=200, tick=40, delay_ns=10_000)
    assert set(got.delays) == {10_000} and got.numbers == list(range(500))
    got = passage(500, gap=300, tick=70, delay_ns=9_999)
    assert all(9_999 <= delay < 9_999 + 70 for delay in got.delays)


def test_uniform_jitter():
    got = passage(3000, gap=1000, tick=100, delay_ns=20_000, jitter_ns=10_000)
    assert 10_000 <= min(got.delays) < 10_300 and 29_700 < max(got.delays) <= 30_100
    assert abs(fmean(got.delays) - 20_050) < 5 * 10_000 / sqrt(3 * 3000)
    assert abs(pstdev(got.delays) - 10_000 / sqrt(3)) < 300
    inversions = [n for at, n in enumerate(got.numbers) if n < max(got.numbers[: at + 1])]
    assert got.counters["late"] == len(inversions) > 100, "RFC 4737: each that comes after one sent later"


def test_normal_jitter():
    got = passage(3000, gap=1000, tick=100, delay_ns=50_000, jitter_ns=10_000, distribution="normal")
    assert abs(fmean(got.delays) - 50_050) < 5 * 10_000 / sqrt(3000)
    assert abs(pstdev(got.delays) - 10_000) < 700
    assert likely(sum(abs(delay - 50_050) > 20_000 for delay in got.delays), 3000, 0.0455)
    got = passage(2000, gap=1000, tick=100, delay_ns=1000, jitter_ns=1000, distribution="normal")
    assert min(got.delays) == 0, "cut off there: 16 % would be below"


def test_reorder():
    """As netem does it: some go at once while others wait for their delay."""
    n = 4000
    got = passage(n, gap=100, delay_ns=5000, reorder=0.25)
    assert set(got.delays) == {0, 5000}
    assert got.delays.count(0) == got.counters["reordered"] and likely(got.counters["reordered"], n, 0.25)
    waiting = [number for number, sent, arrived in got.arrived if arrived - sent]
    assert waiting == sorted(waiting)
    best, late = -1, 0
    for number in got.numbers:
        late, best = late + (number < best), max(number, best)
    assert got.counters["late"] == late > n // 2


def test_rate_counts_preamble_and_gap():
    got = passage(100, gap=10**6, tick=LINE, burst=100, rate=1e9)
    assert [arrived - got.arrived[0][1] for _, _, arrived in got.arrived] == [LINE * n for n in range(1, 101)]
    # Parts of a nanosecond add up: 67.2 of them for the shortest frame at 10 Gb/s.
    for size, ns in ((60, 67.2), (1514, 1230.4)):
        got = passage(500, burst=500, gap=10**9, tick=200, size=size, rate=10e9)
        assert all(-1 < delay - ns * (n + 1) < 200 for n, delay in enumerate(got.delays))


def test_frames_beyond_the_limit_are_dropped_by_name():
    got = passage(100, gap=10**6, tick=LINE, burst=100, rate=1e9, limit=10)
    assert got.numbers == list(range(10)) and got.counters["overflowed"] == 90
    # Twice what the line carries: half of it gets through, and the line is never idle.
    got = passage(2000, gap=LINE // 2, rate=1e9, limit=10)
    assert got.numbers == through(2000, LINE // 2, 10) and 1000 <= len(got.numbers) <= 1011
    times = [arrived for _, _, arrived in got.arrived]
    assert {after - before for before, after in pairwise(times)} == {LINE}
    # A limit counts what is under way, too.
    got = passage(100, gap=100, delay_ns=1000, limit=5)
    assert got.counters["delivered"] == 50 and got.numbers[:6] == [0, 1, 2, 3, 4, 10]


def through(count: int, gap: int, limit: int) -> list[int]:
    """Which frames get through a line of 1 Gb/s with a queue of `limit` frames, counted by hand."""
    found, leaving, free_at = [], [], 0
    for n in range(count):
        leaving = [at for at in leaving if at > n * gap]
        if len(leaving) < limit:
            free_at = max(free_at, n * gap) + LINE
            leaving.append(free_at)
            found.append(n)
    return found


@pytest.mark.parametrize("looks", [1, 100])
def test_the_limit_holds_for_the_time_of_the_frames_not_for_when_anybody_looks(looks):
    a, b = pair(2 << 20, rate=1e9, limit=10)
    a.tx_queue(n=512), b.rx_queue(n=512)
    for n in range(400):
        a.tx[0].send(numbered(n))
        a.step()
        a.clock.advance_ns(LINE // 2)
        if n % looks == 0:
            b.step(20)
    b.step(20)
    flight = a.engine.wire.outward
    assert flight.overflowed == 400 - len(through(400, LINE // 2, 10)) and balanced(flight)


def test_a_receiver_without_descriptors_holds_an_elastic_wire_up():
    a, b = pair(2 << 20, delay_ns=100)
    tx, rx = a.tx_queue(n=512), b.rx_queue(n=8, give=0)
    b.write(0x03C00, 1 << 10)  # RXPBSIZE: a packet buffer of 1 KiB
    flight = a.engine.wire.outward
    for n in range(200):
        tx.send(numbered(n), ring_bell=False)
    tx.bell()
    for _ in range(20):
        a.step(4), b.step(4), a.clock.advance_ns(100)
    assert flight.delivered < 20 and flight.next_due == NEVER, "nothing is waited for that time could bring"
    got = []
    for _ in range(400):
        rx.give(1)
        b.step()
        a.clock.advance_ns(100)
        got += [int.from_bytes(each.data[-4:], "big") for each in rx.take(refill=False)]
    assert got == list(range(200)) and balanced(flight)


def test_when_the_next_frame_lands_is_known():
    a, b = pair(delay_ns=5000)
    a.tx_queue(n=64), b.rx_queue(n=64)
    flight = a.engine.wire.outward
    b.step()
    assert flight.next_due == NEVER
    a.clock.advance_ns(1000)
    a.tx[0].send(frame(60))
    a.step(), b.step()
    assert flight.next_due == a.clock.now_ns + 5000
    a.clock.advance_ns(5000)
    b.step()
    assert flight.next_due == NEVER and len(b.rx[0].take()) == 1


def test_what_is_in_flight_when_the_wire_is_pulled_out_is_gone():
    a, b = pair(delay_ns=5000)
    a.tx_queue(n=64), b.rx_queue(n=64)
    for n in range(50):
        a.tx[0].send(numbered(n))
    a.step(), b.step(2)
    flight = a.engine.wire.outward
    assert flight.in_flight == 50
    a.engine.unplug()
    a.clock.advance_ns(10_000)
    b.step(3)
    assert b.rx[0].take() == [] and balanced(flight)


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ({"loss": 1.5}, "loss=1.5: a probability lies between 0 and 1"),
        ({"corrupt": -0.1}, "corrupt=-0.1: a probability"),
        ({"duplicate": float("nan")}, "duplicate=nan: a probability"),
        ({"reorder": 0.1}, "reorder needs a delay"),
        ({"delay_ns": -1}, "expected 0 to 60 s"),
        ({"delay_ns": 10, "jitter_ns": -1}, "cannot be negative"),
        ({"delay_ns": 10, "jitter_ns": 11}, "jitter is at most the delay"),
        ({"delay_ns": 10, "jitter_ns": 1, "distribution": "pareto"}, "expected one of uniform, normal"),
        ({"delay_ns": 10, "distribution": "normal"}, "give jitter="),
        ({"rate": 0}, "carries nothing"),
        ({"rate": float("inf")}, "carries nothing"),
        ({"limit": 5}, "needs a rate or a delay"),
        ({"rate": 1e9, "limit": 1 << 30}, "expected 1 to 1000000 frames"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_settings_that_make_no_sense(setting, why):
    with pytest.raises(ConfigError, match=why):
        Netem(**setting)
    with pytest.raises(ConfigError, match="expected a Netem"):
        Flight("loss=1%")
