# SPDX-License-Identifier: BSD-3-Clause
"""The clocks agree with the kernel's."""

import time

from dataplane import clock


def both_clocks() -> tuple[int, int]:
    """The kernel's, in ns, and the TSC, within 10 us of each other: the machine may stop us between two reads."""
    while True:
        before, cycles, after = raw_ns(), clock.cycles(), raw_ns()
        if after - before < 10_000:
            return (before + after) // 2, cycles


def raw_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)


def test_the_tsc_runs_at_the_rate_that_was_measured():
    (started, cycles), _, (ended, later) = both_clocks(), time.sleep(0.05), both_clocks()
    assert abs((later - cycles) / clock.hz() * 1e9 / (ended - started) - 1) < 0.005


def test_wall_time_is_the_kernels_within_a_millisecond():
    for _ in range(3):
        before = time.time_ns()
        now = clock.now_ns()
        after = time.time_ns()
        assert before - 1_000_000 < now < after + 1_000_000
        time.sleep(0.4)  # over the second after which it is anchored again


def test_wall_time_moves_on():
    stamps = [clock.now_ns() for _ in range(1000)]
    assert stamps == sorted(stamps)
    assert stamps[-1] > stamps[0]
