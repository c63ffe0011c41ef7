# SPDX-License-Identifier: BSD-3-Clause
"""Queues that fail under a pipeline, and queues that come to their end."""

from __future__ import annotations

import time

import pytest

from dataplane import Collect, Frames, Pipeline, run, start
from dataplane.errors import PcapError
from dataplane.pmd import probe

FRAMES = [number.to_bytes(4, "big") + bytes(60) for number in range(100)]


@pytest.fixture
def capture(tmp_path):
    """A pcap file with FRAMES in it."""
    path = tmp_path / "in.pcap"
    Pipeline(Frames(FRAMES) >> probe(f"pcap:>{path}").tx(0)).run()
    return path


@pytest.mark.parametrize("repeat", [1, None], ids=["at the flush", "under load"])
def test_a_full_disk_stops_the_run(repeat):
    port = probe("pcap:>/dev/full")
    pipeline = Pipeline(Frames(FRAMES, repeat=repeat) >> port.tx(0))
    began = time.monotonic()
    with pytest.raises(PcapError, match="No space left on device"):
        pipeline.run(seconds=10)
    assert time.monotonic() - began < 5
    assert not port.started and not pipeline.report.ok


def test_a_full_disk_stops_the_other_lcores():
    port = probe("pcap:>/dev/full")
    other = probe("null:")
    with pytest.raises(PcapError, match="No space left"):
        run(
            Pipeline(other.rx(0) >> other.tx(0)),
            Pipeline(Frames(FRAMES, repeat=None) >> port.tx(0)),
            lcores=[None, None],
            seconds=10,
        )
    assert not other.started


def test_the_stepper_raises_it():
    port = probe("pcap:>/dev/full")
    pipeline = Pipeline(Frames(FRAMES, repeat=None) >> port.tx(0))
    with pytest.raises(PcapError, match="No space left"), pipeline.stepper() as stepper:
        stepper.step(100_000)
    assert not port.started


def test_the_stepper_raises_it_at_its_end():
    pipeline = Pipeline(Frames(FRAMES) >> probe("pcap:>/dev/full").tx(0))
    with pytest.raises(PcapError, match="No space left"), pipeline.stepper() as stepper:
        stepper.finish()


def test_a_run_ends_with_its_file(capture):
    sink = Collect()
    assert Pipeline(probe(f"pcap:{capture}").rx(0) >> sink).run().packets == 100
    assert sink.frames == FRAMES


def test_a_run_ends_when_the_last_of_its_files_does(capture):
    sink = Collect()
    short, long = probe(f"pcap:{capture}"), probe(f"pcap:{capture},loop=5")
    report = Pipeline(short.rx(0) >> sink, long.rx(0) >> sink).run()
    assert report.packets == len(sink.frames) == 600


def test_a_file_does_not_end_a_run_with_other_sources(capture):
    other = probe("null:")
    sink = Collect()
    with start(
        Pipeline(probe(f"pcap:{capture}").rx(0) >> sink),
        Pipeline(other.rx(0) >> other.tx(0)),
        lcores=[None, None],
    ) as running:
        assert not running.wait(0.1)
        assert sink.frames == FRAMES
        assert running.stop().packets > 100


def test_a_damaged_file_gives_what_is_whole_and_then_its_error(capture):
    capture.write_bytes(capture.read_bytes()[:-10])
    sink = Collect()
    with pytest.raises(PcapError):
        Pipeline(probe(f"pcap:{capture}").rx(0) >> sink).run()
    assert sink.frames == FRAMES[:-1]
