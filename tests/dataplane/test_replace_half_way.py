# SPDX-License-Identifier: BSD-3-Clause
"""A replacement that can neither be finished nor undone, since an lcore does not come back from a lap."""

from __future__ import annotations

import threading
import time

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
    """Passes everything; while `let` is clear it does not return from a burst."""

    def __init__(self, let):
        self.let = let

    def process(self, burst):
        assert self.let.wait(WAIT)


class Last(Hooked):
    """Makes the other lcore wait in its lap, as its hook is called."""

    def __init__(self, hook, let, **options):
        super().__init__(**options)
        self.hook, self.let = hook, let

    def _call(self, hook):
        if hook == self.hook:
            self.let.clear()
            time.sleep(0.1)  # until the other lcore is in its next lap
        super()._call(hook)


@pytest.mark.parametrize("too_late", ["to undo", "to swap"])
def test_an_lcore_that_stops_coming_back_half_way_ends_the_run(too_late):
    """Apps have been started on one lcore, or it has swapped: nothing can be undone, and nothing is lost."""
    let, calls = threading.Event(), []
    let.set()
    sinks, sources, waits = [probe("null:") for _ in range(2)], [endless(), endless()], Waits(let)
    leaves = Last("stop" if too_late == "to swap" else "", let, name="leaves", calls=calls)
    fails = "start" if too_late == "to undo" else ""
    comes = Last(fails, let, name="comes", calls=calls, fails=fails)
    beside = Hooked(name="beside", calls=calls)
    with pytest.raises((LcoreStuck, AppError)):
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
    let.set()
    report = running.stop()
    assert report.balance.missing == 0
    assert report.packets == sum(sink.xstats()["tx_good_packets"] for sink in sinks)
    hooks = [call[:2] for call in calls]
    assert hooks.count(("leaves", "start")) == hooks.count(("leaves", "stop")) == 1
    assert hooks.count(("beside", "start")) == hooks.count(("beside", "stop")) == 1
    assert not any(sink.started for sink in sinks)
    Pipeline(Frames([FRAME]) >> leaves >> beside >> sinks[0].tx(0)).run()  # nobody holds them
