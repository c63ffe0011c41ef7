# SPDX-License-Identifier: BSD-3-Clause
"""A replacement that can neither be finished nor undone, since an lcore does not come back from a lap."""

from __future__ import annotations

import threading

import pytest
from stages import Hooked

from dataplane import App, Frames, Pipeline, start
from dataplane.errors import AppError, LcoreStuck
from dataplane.pmd import probe

FRAME = bytes(range(64))
WAIT = 20


def endless():
    return Frames([FRAME], repeat=None)


class Waits(App):
    """Passes everything. While `let` is clear it does not return from a burst; `inside` is set then."""

    def __init__(self):
        self.let, self.inside = threading.Event(), threading.Event()
        self.let.set()

    def process(self, burst):
        if not self.let.is_set():
            self.inside.set()
            assert self.let.wait(WAIT)


class Tells(Hooked):
    """Sets `told` when it starts."""

    def __init__(self, **options):
        super().__init__(**options)
        self.told = threading.Event()

    def start(self):
        super().start()
        self.told.set()


class Last(Hooked):
    """In the hook `at`, once `first` has started, it has `waits` not return from a burst."""

    def __init__(self, at, waits, first, **options):
        super().__init__(**options)
        self.at, self.waits, self.first = at, waits, first

    def _call(self, hook):
        if hook == self.at:
            assert self.first.told.wait(WAIT)
            self.waits.let.clear()
            assert self.waits.inside.wait(WAIT)
        super()._call(hook)


@pytest.mark.parametrize("too_late", ["to undo", "to swap"])
def test_an_lcore_that_stops_coming_back_half_way_ends_the_run(too_late):
    """Apps have been started on one lcore, or it has swapped: nothing can be undone, and nothing is lost."""
    calls, waits = [], Waits()
    sinks, sources = [probe("null:") for _ in range(2)], [endless(), endless()]
    beside = Tells(name="beside", calls=calls)
    fails = "start" if too_late == "to undo" else ""
    leaves = Last("" if fails else "stop", waits, beside, name="leaves", calls=calls)
    comes = Last(fails, waits, beside, name="comes", calls=calls, fails=fails)
    with pytest.raises(AppError if fails else LcoreStuck):
        running = start(
            Pipeline(sources[0] >> leaves >> sinks[0].tx(0)),
            Pipeline(sources[1] >> waits >> sinks[1].tx(0)),
            lcores=(None, None),
        )
        assert not running.wait(0.05) and running.packets
        running.replace(
            Pipeline(sources[0] >> comes >> sinks[0].tx(0)),
            Pipeline(sources[1] >> waits >> beside >> sinks[1].tx(0)),
            timeout=0.3,
        )
    waits.let.set()
    report = running.stop()
    assert report.balance.missing == 0
    assert report.packets == sum(sink.xstats()["tx_good_packets"] for sink in sinks)
    hooks = [call[:2] for call in calls]
    assert hooks.count(("leaves", "start")) == hooks.count(("leaves", "stop")) == 1
    assert hooks.count(("beside", "start")) == hooks.count(("beside", "stop")) == 1
    assert not any(sink.started for sink in sinks)
    Pipeline(Frames([FRAME]) >> leaves >> beside >> sinks[0].tx(0)).run()  # no run holds them
