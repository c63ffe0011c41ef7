# SPDX-License-Identifier: BSD-3-Clause
"""The balance of a run: every packet that came is in one of its terms, and an app that loses some is named."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from dataplane import App, Collect, Frames, Pipeline, eth, probe
from dataplane.apps import Counter, Sink, Tee
from dataplane.errors import GraphError
from dataplane.reports.stats import Balance

FRAMES = [bytes(5) + bytes([n]) + bytes(54) for n in range(64)]


class Odd(App):
    """Drops odd frames, consumes number 2, and sends number 4 to an unconnected edge."""

    edges = ("out", "other")
    optional = ("other",)
    drops = ("odd", "seen")
    consumes = ("seen",)

    def process(self, burst):
        number = burst[eth.dst] & 0xFF
        burst.drop(number % 2 == 1, "odd")
        burst.drop(number == 2, "seen")
        return np.where(number == 4, 1, 0)


def test_each_term_by_name():
    ring, sink = probe("ring:balance"), probe("null:")
    tee = Tee()
    pipeline = Pipeline(
        Frames(FRAMES) >> Odd() >> tee >> ring.tx(0),
        tee["copy"] >> Sink(),
        ring.rx(0) >> Counter() >> sink.tx(0),
    )
    with pipeline.stepper() as stepper:
        stepper.step(8)
    report = pipeline.report
    assert report.balance == Balance(
        received=30, generated=64, copied=30, sent=60, dropped=33, consumed=31, held=0
    )
    assert report.consumed == {"odd.seen": 1, "sink.done": 30}
    assert report.drops == {"odd.odd": 32, "odd.unconnected": 1}
    assert report.packets == 94
    assert str(report).startswith(
        "pipeline: received 30, generated 64, copied 30, sent 60, dropped 33, consumed 31 in "
    )


def test_an_app_that_loses_packets_is_named(caplog):
    class Keeps(App):
        drops = ("all",)

        @property
        def held(self):
            return 3

        def process(self, burst):
            return None

    with caplog.at_level(logging.ERROR):
        report = Pipeline(Frames(FRAMES) >> Keeps() >> Collect(), name="loses").run()
    assert not report.ok and report.balance.missing == -3
    assert "loses: generated 64, consumed 64, held 3: -3 packets are missing (keeps -3)" in caplog.text


def test_what_consumes_names_is_checked():
    class Wrong(App):
        edges = ()
        consumes = ("kept",)

        def process(self, burst):
            return None

    with pytest.raises(GraphError, match=r"Wrong.consumes names kept: Wrong.drops does not"):
        Pipeline(Frames(FRAMES) >> Wrong()).check()


def test_ports_of_one_name_have_a_row_each():
    left, right = probe("null:"), probe("null:")
    report = Pipeline(Frames(FRAMES) >> left.tx(0), Frames(FRAMES, repeat=2) >> right.tx(0)).run()
    assert {name: numbers["tx_good_packets"] for name, numbers in report.ports.items()} == {
        "null:": 64,
        "null:#2": 128,
    }
