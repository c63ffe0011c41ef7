# SPDX-License-Identifier: BSD-3-Clause
"""A full Tx queue: retried while it makes progress, then dropped by name; waited for when the pipeline is lossless."""

from __future__ import annotations

import time

import pytest

from dataplane import App, Collect, Frames, Pipeline, start
from dataplane.pmd import probe

FRAMES = [number.to_bytes(4, "big") + bytes(60) for number in range(1000)]


class Slow(App):
    """Keeps a queue full: a burst takes it a millisecond."""

    def process(self, burst):
        time.sleep(0.001)


def test_a_queue_without_progress_drops_by_name():
    port = probe("ring:test-full,slots=64")
    report = Pipeline(Frames(FRAMES) >> port.tx(0)).run()
    assert report.drops == {"ring:test-full,slots=64.tx(0).tx_full": 1000 - 64}
    assert report.edges["frames.out"].packets == 1000
    assert report.held == {"ring:test-full,slots=64.tx_waiting": 64}


def test_sent_and_dropped_add_up_under_pressure():
    port = probe("ring:test-sum,slots=64")
    sink = Collect()
    source = Frames(FRAMES, repeat=None)
    full = "ring:test-sum,slots=64.tx(0).tx_full"
    with start(
        Pipeline(source >> port.tx(0)),
        Pipeline(port.rx(0) >> Slow() >> sink),
        lcores=[None, None],
    ) as running:
        assert not running.wait(30, until=lambda: running.read()[1].get(full, 0) > 0)
        report = running.stop()
    xstats = report.ports["ring:test-sum,slots=64"]
    dropped = sum(report.drops.get(name, 0) for name in (full, full.replace("tx_full", "stopped")))
    assert report.drops[full] > 0
    assert report.edges["frames.out"].packets == xstats["tx_good_packets"] + dropped
    assert xstats["rx_good_packets"] == len(sink.frames)


@pytest.mark.parametrize("lcores", [[None, None]])
def test_lossless_loses_nothing(lcores):
    port = probe("ring:test-lossless,slots=16")
    sink = Collect()
    source = Frames(FRAMES)
    with start(
        Pipeline(source >> port.tx(0), lossless=True), Pipeline(port.rx(0) >> Slow() >> sink), lcores=lcores
    ) as running:
        assert not running.wait(10, until=lambda: len(sink.frames) >= 1000)
        report = running.stop()
    assert sink.frames == FRAMES
    assert report.drops == {} and report.consumed == {"collect.kept": 1000}


def test_lossless_stops_while_it_waits():
    port = probe("ring:test-stuck,slots=16")
    began = time.monotonic()
    report = Pipeline(Frames(FRAMES, repeat=None) >> port.tx(0), lossless=True).run(seconds=0.05)
    assert time.monotonic() - began < 1
    assert report.packets == 32 and report.drops == {"ring:test-stuck,slots=16.tx(0).stopped": 16}


def test_the_stepper_never_waits_for_ever():
    """The consumer that would make room runs in the same thread."""
    port = probe("ring:test-step,slots=16")
    with Pipeline(Frames(FRAMES, repeat=None) >> port.tx(0), lossless=True).stepper() as stepper:
        assert stepper.step() == 32
    assert stepper.report.drops == {"ring:test-step,slots=16.tx(0).tx_full": 16}
