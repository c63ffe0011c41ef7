# SPDX-License-Identifier: BSD-3-Clause
"""Idle policies: what an lcore does while no packet comes, what that costs, and how long the next packet waits.

``pytest -s`` prints the wake-up latency of each policy.
"""

from __future__ import annotations

import statistics
import time

import pytest

from dataplane import Frames, Pipeline, start
from dataplane.apps import Counter, Sink
from dataplane.byhand import receive, send
from dataplane.engine.idle import Idle
from dataplane.errors import ConfigError
from dataplane.pmd import probe

FRAME = bytes(60)
WAIT = 20


@pytest.mark.parametrize(
    ("text", "policy", "bound"),
    [
        ("spin", "spin", 0.0),
        ("yield", "yield", 0.0),
        ("sleep", "sleep", 100.0),
        ("sleep:20us", "sleep", 20.0),
        ("sleep:1000ms", "sleep", 1e6),
    ],
)
def test_policies(text, policy, bound):
    idle = Idle(text)
    assert (idle.policy, idle.bound_us) == (policy, bound)


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "busy",
        "Sleep",
        "sleep:",
        "sleep:0us",
        "sleep:1001ms",
        "sleep:1s",
        "spin:1us",
        "sleep:1_0us",
        None,
        1,
    ],
)
def test_others_are_refused(wrong):
    with pytest.raises(
        ConfigError, match=r"must be 'spin', 'yield' or 'sleep', or 'sleep:' and 1us to 1000ms"
    ):
        Pipeline(Frames([FRAME]) >> Sink()).run(idle=wrong)


def cpu_seconds(running):
    """CPU time of the lcore's thread."""
    (worker,) = running._workers
    return time.clock_gettime(time.pthread_getcpuclockid(worker.ident))


def wake_ups(idle, rounds, rest):
    """us from a packet that comes after `rest` s to its leaving, and the share of a CPU that the lcore took."""
    into, out = probe(f"ring:into-{idle}"), probe(f"ring:out-{idle}")
    into.tx(0), out.rx(0)
    found = []
    with start(Pipeline(into.rx(0) >> Counter() >> out.tx(0)), idle=idle) as running:
        time.sleep(rest)
        began, spent = time.perf_counter(), cpu_seconds(running)
        for _ in range(rounds):
            time.sleep(rest)
            sent = time.perf_counter()
            assert send(into.tx(0), [FRAME]) == 1
            while not receive(out.rx(0), 1):
                assert time.perf_counter() - sent < WAIT
            found.append((time.perf_counter() - sent) * 1e6)
        share = (cpu_seconds(running) - spent) / (time.perf_counter() - began)
        report = running.stop()
    assert report.packets == rounds and report.balance.missing == 0
    return found, share


def test_how_long_a_packet_waits_and_what_idling_costs():
    """Printed, not judged, but for what holds on any machine: a sleeping lcore takes little of a CPU."""
    lines = []
    for idle in ("spin", "yield", "sleep:20us", "sleep", "sleep:1ms", "sleep:20ms"):
        found, share = wake_ups(idle, 40, 0.01)
        found.sort()
        middle = statistics.median(found)
        lines.append(
            f"{idle:>10}: median {middle:6.0f} us, 1 of 4 in {found[9]:6.0f} us, "
            f"9 of 10 in {found[35]:6.0f} us, {share:4.0%} of a CPU"
        )
        if idle in ("sleep:1ms", "sleep:20ms"):
            assert share < 0.5, lines
    print("", *lines, sep="\n")


def test_sleeps_grow_up_to_the_bound():
    """A long bound is not reached in a short pause; a stop waits for one sleep at most."""
    found, _ = wake_ups("sleep:1000ms", 5, 0.02)
    # In 20 ms the sleeps have grown to 16 ms; one of 1 s would be waited for.
    assert statistics.median(found) < 500_000
    ring = probe("ring:asleep")
    running = start(Pipeline(ring.rx(0) >> Sink()), idle="sleep:200ms")
    time.sleep(0.6)
    began = time.perf_counter()
    running.stop()
    assert time.perf_counter() - began < 5


def test_a_sleeper_does_all_that_is_asked_of_it():
    """Replacement and taps come between two sleeps; nothing is lost under traffic."""
    into = probe("ring:sleeper,slots=1024")
    into.tx(0)
    counter, seen = Counter(), Sink()
    with start(Pipeline(into.rx(0) >> counter >> Sink()), idle="sleep:5ms", profile=True) as running:
        for turn in range(10):
            if turn == 5:
                running.tap(counter, seen)
            assert send(into.tx(0), [FRAME] * 100) == 100
            deadline = time.monotonic() + WAIT
            while running.packets < (turn + 1) * 100:
                assert time.monotonic() < deadline
                time.sleep(0.001)
        report = running.stop()
    assert report.packets == 1000 and seen.packets == 500 and report.balance.missing == 0


def test_a_stepper_has_a_policy():
    """Two hundred empty laps: those who sleep take that long at least."""
    ring = probe("ring:steps")
    with Pipeline(ring.rx(0) >> Sink()).stepper(idle="sleep:1ms") as stepper:
        began = time.perf_counter()
        stepper.step(300)
        assert time.perf_counter() - began > 0.1  # 150 sleeps or more of 1 ms


def test_sources_that_are_done_end_a_sleeping_run():
    for idle in ("spin", "yield", "sleep"):
        assert Pipeline(Frames([FRAME], repeat=100) >> Sink()).run(idle=idle).packets == 100
