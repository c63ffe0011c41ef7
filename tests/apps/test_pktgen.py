# SPDX-License-Identifier: BSD-3-Clause
"""PktGen: what it sends, when it stops, how evenly it sends, and what it refuses."""

import itertools
import statistics
import time

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from stopwatch import Stopwatch

from dataplane.apps.flows import Flows
from dataplane.apps.pktgen import PktGen
from dataplane.apps.rate import packets_per_second
from dataplane.apps.trial import Trial
from dataplane.clock import hz
from dataplane.errors import ConfigError
from dataplane.mempool import Mempool

PACKET = IP(src="1.2.3.4", dst="10.0.0.0/28") / UDP(sport=(1024, 1039))


def run(generator, keep=False, patience=5.0):
    """(Trial, seconds) of a run to its end."""
    trial = Trial(generator, keep=keep)
    started = time.perf_counter()
    while not trial.done:
        trial.poll(100)
        assert time.perf_counter() - started < patience
    trial.close()
    return trial, time.perf_counter() - started


@pytest.mark.parametrize("count", [1, 31, 32, 33, 1000])
def test_sends_exactly_count_frames_of_the_flows(count):
    trial, _ = run(PktGen(PACKET, size=128, count=count), keep=True)
    flows = Flows(PACKET, size=128)
    assert trial.out["out"] == [flows.frame(number) for number in range(count)]
    assert trial.counts["out"][:2] == (count, count * 124)


def test_takes_text_lists_and_flows():
    for flows in (
        "IP(src='1.2.3.4',dst='10.0.0.0/28')/UDP(sport=(1024,1039))",
        [PACKET],
        Flows(PACKET, size=64),
    ):
        trial, _ = run(PktGen(flows, count=300), keep=True)
        expected = Flows(PACKET, size=64)
        assert trial.out["out"] == [expected.frame(number) for number in range(300)]


def test_without_a_size_frames_have_at_least_64_bytes():
    trial, _ = run(PktGen([IP() / UDP(), IPv6() / TCP()], count=2), keep=True)
    assert [len(frame) for frame in trial.out["out"]] == [60, 74]


@pytest.mark.parametrize("gaps", ["even", "poisson", "burst"])
def test_rate_is_kept_within_one_percent(gaps):
    """As many frames as are due in that time, and not sooner; how late they may be is this machine's affair."""
    generator = PktGen(PACKET, rate="1 Mpps", gaps=gaps, seconds=0.2)
    _, seconds = run(generator)
    # Poisson: gaps repeat after 4,096, whose mean is right, so it is out by less than those.
    assert generator.sent + generator.skipped == pytest.approx(200_000, abs=200 if gaps == "poisson" else 32)
    assert generator.skipped == 0 or seconds > 0.3
    assert seconds >= 0.2


def sent_at(generator):
    """When each frame was sent, in mean gaps since the first."""
    trial, _ = run(generator, keep=True)
    times = [int.from_bytes(frame[-8:], "big") for frame in trial.out["out"]]
    return [(each - times[0]) / (hz() / generator.pps) for each in times]


def test_no_frame_is_early():
    """Whatever else the machine does meanwhile: late frames are made up for, but none is sent before it is due."""
    even = PktGen(PACKET, rate=20_000, count=1000, stamp=True)
    assert all(when >= index - 1e-6 for index, when in enumerate(sent_at(even)))
    poisson = PktGen(PACKET, rate=20_000, gaps="poisson", count=1000, stamp=True)
    due = [0.0, *itertools.accumulate(poisson.gap_cycles(index) / (hz() / 20_000) for index in range(999))]
    assert all(when >= planned - 1e-6 for when, planned in zip(sent_at(poisson), due, strict=True))


def test_poisson_gaps_are_exponential():
    generator = PktGen(PACKET, rate=1e6, gaps="poisson")
    gaps = sorted(generator.gap_cycles(index) / (hz() / 1e6) for index in range(4096))
    assert statistics.fmean(gaps) == pytest.approx(1, rel=1e-9)
    assert statistics.stdev(gaps) == pytest.approx(1, abs=0.08)
    assert gaps[2048] == pytest.approx(0.693, abs=0.06)  # ln 2
    assert gaps[3686] == pytest.approx(2.303, abs=0.2)  # ln 10


def test_bursts_go_back_to_back():
    when = sent_at(PktGen(PACKET, rate=20_000, gaps="burst", count=640, stamp=True))
    starts = [index for index, (before, after) in enumerate(itertools.pairwise(when), 1) if after > before]
    assert starts == [32 * number for number in range(1, 20)]
    assert all(when[32 * number] >= 32 * number - 1e-6 for number in range(20))


def test_poisson_is_the_same_for_the_same_seed_only():
    generators = [PktGen(PACKET, rate=1e6, gaps="poisson", seed=seed) for seed in (0, 0, 1)]
    first, again, other = ([each.gap_cycles(index) for index in range(50)] for each in generators)
    assert first == again != other


def test_stops_after_seconds():
    generator, watch = PktGen(PACKET, seconds=0.05), Stopwatch()
    _, seconds = run(generator)
    assert seconds >= 0.05
    assert watch.own < 0.5
    assert generator.sent > 1000


def test_a_long_stall_is_not_made_up_for():
    generator = PktGen(PACKET, rate="1 Mpps")
    trial = Trial(generator, keep=False)
    trial.poll(1)
    time.sleep(0.25)
    sent = trial.poll(100_000)
    trial.close()
    assert sent < 150_000 + 1_000_000
    assert 150_000 < generator.skipped < 1_000_000


def test_runs_again_from_the_start():
    generator = PktGen(PACKET, count=10)
    run(generator)
    trial, _ = run(generator, keep=True)
    assert len(trial.out["out"]) == 10


def test_an_exhausted_mempool_sends_less_and_recovers():
    pool = Mempool(48, debug=True)
    generator = PktGen(PACKET, mempool=pool)
    with Trial(generator, unconnected=()) as trial:
        assert trial.poll(1) == 32
        with Trial(PktGen(PACKET, mempool=pool, burst=64)) as starved:
            assert starved.poll(3) == 0
            assert pool.alloc_failures == 3
        assert trial.poll(1) == 32
    assert pool.in_use == 0
    pool.check()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 40}, "size 40 is too small: Ether/IP/UDP takes 46 bytes.*size=46"),
        ({"size": 60, "stamp": True}, "size 60 is too small.*stamp of 16 bytes takes 62"),
        ({"rate": "fast"}, 'no rate.*"5 Mpps"'),
        ({"rate": "120%"}, "more than the line carries"),
        ({"gaps": "odd"}, '"even", "poisson" or "burst"'),
        ({"count": 0}, "count=0"),
        ({"count": 2.5}, "count=2.5"),
        ({"seconds": 0}, "seconds=0"),
        ({"burst": 0}, "burst=0"),
        ({"burst": 257}, "1 to 256"),
        ({"size": 1518, "mempool": "small"}, "do not fit the mempool's data room of 128"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    if "mempool" in arguments:
        arguments = {**arguments, "mempool": Mempool(16, data_room=128)}
    with pytest.raises(ConfigError, match=message):
        PktGen(PACKET, **arguments)


def test_flows_and_size_together_are_refused():
    with pytest.raises(ConfigError, match="to Flows, not to PktGen"):
        PktGen(Flows(PACKET), size=64)


@pytest.mark.parametrize(
    ("rate", "frame", "expected"),
    [
        ("5 Mpps", 64, 5e6),
        ("5Mpps", 64, 5e6),
        ("250 kpps", 64, 250e3),
        ("1.5e3 pps", 64, 1500),
        ("1_000", 64, 1000),
        (1000, 64, 1000),
        (0.5, 64, 0.5),
        ("2 Gbps", 1000, 250_000),
        ("2 Gbit/s", 1000, 250_000),
        ("100%", 64, 10e9 / 8 / 84),
        ("50 %", 1518, 5e9 / 8 / 1538),
        (None, 64, None),
    ],
)
def test_rates(rate, frame, expected):
    assert packets_per_second(rate, frame) == pytest.approx(expected)


@pytest.mark.parametrize(
    "rate", ["", "Mpps", "-5 Mpps", "5 Mppps", "0", 0, -1, True, "nan", float("inf"), [5], "5 %%"]
)
def test_what_is_no_rate(rate):
    with pytest.raises(ConfigError, match=r"rate=.*5 Mpps"):
        packets_per_second(rate, 64)


def test_repr_says_what_and_how_fast():
    assert repr(PktGen(IP() / UDP(), rate="2 Mpps")) == (
        "PktGen(<Flows 1 frames of 64 bytes: Ether/IP/UDP>, 2,000,000 pps even)"
    )
    assert "flat out" in repr(PktGen(Ether() / IP()))
