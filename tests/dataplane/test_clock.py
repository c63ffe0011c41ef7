# SPDX-License-Identifier: BSD-3-Clause
"""The clocks agree with the kernel's."""

import time

from dataplane import clock


def test_the_tsc_runs_at_the_rate_that_was_measured():
    started, cycles = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW), clock.cycles()
    time.sleep(0.05)
    took_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW) - started
    took_cycles = clock.cycles() - cycles
    assert abs(took_cycles / clock.hz() * 1e9 / took_ns - 1) < 0.005


def test_wall_time_is_the_kernels_within_a_millisecond():
    for _ in range(3):
        before = time.time_ns()
        now = clock.now_ns()
        after = time.time_ns()
        assert before - 1_000_000 < now < after + 1_000_000
        time.sleep(0.4)  # over the second after which it is anchored anew


def test_wall_time_moves_on():
    stamps = [clock.now_ns() for _ in range(1000)]
    assert stamps == sorted(stamps)
    assert stamps[-1] > stamps[0]
