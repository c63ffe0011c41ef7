# SPDX-License-Identifier: BSD-3-Clause
"""Reports and totals of hardware counters."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from dataplane.reports.stats import Accumulator, Balance, Cost, Count, Report, Sampler, mpps, queue_xstat

REPORT = Report(
    "l2fwd",
    2.0,
    packets=4_000_000,
    edges={"l2fwd.out": Count(3_000_000, 180_000_000, 100_000)},
    drops={"l2fwd.odd": 7, "tx.tx_full": 3},
    balance=Balance(received=4_000_000, sent=2_999_997, dropped=10, held=999_993),
    ports={"null:": {"rx_good_packets": 4_000_000}},
    profile={"l2fwd": Cost(3.14, 3200, 100)},
)


def test_a_report_as_json():
    said = json.loads(REPORT.to_json())
    assert {"app", "seconds", "ports", "drops", "ok"} <= said.keys()
    assert said["ports"] == {"null:": {"rx_good_packets": 4_000_000}}
    assert said["drops"] == {"l2fwd.odd": 7, "tx.tx_full": 3}
    assert said["edges"]["l2fwd.out"] == {"packets": 3_000_000, "bytes": 180_000_000, "bursts": 100_000}
    assert said["balance"] == {
        "received": 4_000_000, "generated": 0, "copied": 0, "sent": 2_999_997, "dropped": 10, "consumed": 0, "held": 999_993,
    }  # fmt: skip
    assert said["profile"] == {"l2fwd": {"cycles": 3.14, "packets": 3200, "bursts": 100}}
    assert (said["app"], said["seconds"], said["mpps"], said["ok"]) == ("l2fwd", 2.0, 2.0, True)


def test_rates():
    assert REPORT.mpps == 2.0 and REPORT.rate("l2fwd.out") == 1.5 and REPORT.dropped == 10
    assert mpps(5, 0.0) == 0.0


def test_a_report_as_text():
    assert str(REPORT).splitlines() == [
        "l2fwd: received 4,000,000, sent 2,999,997, dropped 10, held 999,993 in 2.00 s; received at 2.000 Mpps",
        "  l2fwd.out: 3,000,000 packets, 180,000,000 bytes, 768.0 Mbit/s L2, 1.008 Gbit/s L1",
        "  dropped by l2fwd.odd: 7",
        "  dropped by tx.tx_full: 3",
        "  l2fwd: 3.1 cycles per packet",
    ]


def test_costs_add_up_by_packets():
    assert Cost(10.0, 100, 4) + Cost(20.0, 300, 10) == Cost(17.5, 400, 14)
    assert Cost() + Cost(2.0, 32, 1) == Cost(2.0, 32, 1) and Cost() + Cost() == Cost()


@given(st.lists(st.integers(0, 2**36 - 1), max_size=50), st.integers(0, 2**36 - 1))
def test_wrapping_counters_add_up(steps, start):
    """Any growth below one whole turn between two readings is seen, however often the register wraps."""
    totals, register = Accumulator(), start
    totals.rebase("octets", start)
    for step in steps:
        register = (register + step) % 2**36
        totals.wrapping("octets", register, 36)
    assert totals.totals.get("octets", 0) == sum(steps)


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=50))
def test_cleared_counters_add_up(readings):
    totals = Accumulator()
    for reading in readings:
        last = totals.cleared("packets", reading)
    assert last == totals.totals["packets"] == sum(readings)


def test_totals_count_from_zero_again():
    totals = Accumulator()
    totals.wrapping("x", 100, 32)
    totals.clear()
    assert totals.wrapping("x", 130, 32) == 30
    totals.rebase("x")  # a reset of the device
    assert totals.wrapping("x", 5, 32) == 35


def test_a_sampler_gives_growth_and_totals():
    readings = iter(
        [
            ({"a.out": Count(10, 640, 1)}, {}, {"p": {"rx": 10}}),
            ({"a.out": Count(30, 1920, 2), "b.out": Count(1, 64, 1)}, {"a.odd": 2}, {"p": {"rx": 30}}),
        ]
    )
    sampler = Sampler(lambda: next(readings))
    sample = sampler.sample()
    assert sample.edges == {"a.out": Count(20, 1280, 1), "b.out": Count(1, 64, 1)}
    assert sample.drops == {"a.odd": 2}
    assert sample.ports == {"p": {"rx": 20}} and sample.totals == {"p": {"rx": 30}}
    assert 0 <= sample.interval <= sample.seconds


def test_names_of_queue_counters():
    assert queue_xstat("tx", 3, "bytes") == "tx_q3_bytes"
