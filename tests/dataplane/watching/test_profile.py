# SPDX-License-Identifier: BSD-3-Clause
"""Profiles: what an app costs by itself, measured now and then, and that a run is otherwise as without one."""

from __future__ import annotations

import gc
import time
import weakref

import pytest
from stages import Discard, Hooked

from dataplane import App, Frames, Pipeline, start
from dataplane.apps import Counter, L2Fwd, Sink, Tee
from dataplane.clock import hz
from dataplane.engine.lcore import Loop
from dataplane.engine.profiler import Meter, Profiler, Spent, overhead
from dataplane.errors import GraphError
from dataplane.pmd import probe

FRAME = bytes(range(64))
GAP = 61  # laps from one that is measured to the next
BURN = 200e-6  # s that `Burn` takes for a burst


class Burn(App):
    """Passes everything, late."""

    def process(self, burst):
        until = time.perf_counter() + BURN
        while time.perf_counter() < until:
            pass


def endless():
    return Frames([FRAME], repeat=None)


def wait_for(holds):
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_an_app_does_not_pay_for_those_behind_it():
    burn, before, behind = Burn(), Hooked(name="before"), Counter()
    with Pipeline(endless() >> before >> burn >> behind >> Sink()).stepper(profile=True) as stepper:
        stepper.step(GAP * 25)
    costs = stepper.report.profile
    assert list(costs) == ["frames", "before", "burn", "counter", "sink"]
    burnt = BURN * hz() / 32
    assert 0.95 * burnt < costs["burn"].cycles
    # Each of the others takes far less; what `before` and `frames` would have with their followers is more than that.
    assert all(cost.cycles < burnt / 2 for name, cost in costs.items() if name != "burn"), costs


def test_one_lap_in_61_is_measured():
    with Pipeline(endless() >> Counter() >> Sink()).stepper(profile=True) as stepper:
        stepper.step(GAP)
        assert not stepper._assembly.report(True, {}).profile
        stepper.step(GAP * 30)
    costs = stepper.report.profile
    assert {cost.bursts for cost in costs.values()} == {29}  # of 30 without the slowest
    assert {cost.packets for cost in costs.values()} == {29 * 32}
    assert all(cost.cycles >= 0 for cost in costs.values())
    assert stepper.report.packets == 31 * GAP * 32


def test_without_a_profile_nothing_is_measured():
    pipeline = Pipeline(endless() >> Counter() >> Sink())
    report = pipeline.run(count=10_000)
    assert report.profile == {} and report.to_dict()["profile"] == {}
    assert "cycles per packet" not in pipeline.explain()


@pytest.mark.parametrize("count", [1, 31 * GAP, 32 * GAP * 8 + 5])
def test_counts_bytes_and_ends_are_those_of_a_run_without_one(count):
    """Byte totals travel beside a burst, through the meters too; the last lap is a short one."""
    reports = []
    for profile in (False, True):
        ring, tee = probe("ring:profiled,slots=4096"), Tee()
        pipeline = Pipeline(
            endless() >> L2Fwd() >> tee >> ring.tx(0),
            tee["copy"] >> Hooked() >> Sink(),
            ring.rx(0) >> Discard(),
        )
        with start(pipeline, count=count, profile=profile) as running:
            running.wait(20)
            reports.append(running.stop())
    plain, profiled = reports
    assert plain.packets == profiled.packets == count
    first = profiled.balance.generated
    assert profiled.ports["ring:profiled,slots=4096"]["tx_good_bytes"] == first * len(FRAME)
    assert profiled.edges["l2fwd.out"].bytes == profiled.edges["tee.copy"].bytes == first * len(FRAME)
    assert profiled.balance.missing == 0 and profiled.ok
    assert not plain.profile


def test_a_replaced_app_stays_in_the_profile_and_is_let_go_of():
    source, sink, stays = endless(), Sink(), Counter()
    goes = Hooked(name="goes")
    gone = weakref.ref(goes)
    with start(Pipeline(source >> goes >> stays >> sink), profile=True) as running:
        wait_for(lambda: running.packets > 200 * GAP * 32)
        running.replace(Pipeline(source >> stays >> Hooked(name="comes") >> sink))
        before = running.packets
        del goes
        gc.collect()
        assert gone() is None
        wait_for(lambda: running.packets > before + 200 * GAP * 32)
        report = running.stop()
    assert {"frames", "goes", "counter", "comes", "sink"} == report.profile.keys()
    assert all(cost.bursts > 50 for cost in report.profile.values())
    assert report.balance.missing == 0


def test_errors_of_a_measured_lap_stop_the_run():
    class Late(App):
        laps = 0

        def process(self, burst):
            self.laps += 1
            if self.laps == GAP + 1:
                raise ValueError("in a measured lap")

    with pytest.raises(Exception, match="in a measured lap"):
        Pipeline(endless() >> Late() >> Sink()).run(profile=True)


def test_polls_that_find_nothing_cost_no_packet():
    """A ring that gets a packet now and then: the empty polls between are in no figure."""
    ring = probe("ring:seldom")
    with Pipeline(ring.rx(0) >> Sink()).stepper(profile=True) as stepper:
        stepper.step(GAP * 10)
    assert stepper.report.profile == {}


def test_a_picture_has_the_costs():
    pipeline = Pipeline(endless() >> Counter() >> Sink(), name="shown")
    report = pipeline.run(count=GAP * 32 * 40, profile=True)
    assert f"counter [nogil] {report.profile['counter'].cycles:.1f} cycles per packet" in pipeline.explain()
    assert f"  counter: {report.profile['counter'].cycles:.1f} cycles per packet" in str(report)


def test_meters_are_no_apps_for_graphs():
    meter = Meter(Sink(), Spent())
    with pytest.raises(GraphError, match="join the app itself"):
        Pipeline(endless() >> meter).run(count=1)
    with pytest.raises(GraphError, match="join the app itself"):
        Pipeline(endless() >> Meter.__new__(Meter)).run(count=1)


def test_half_made_ones_measure_nothing():
    half = Profiler.__new__(Profiler)
    assert half.cost(Sink()) is None
    with pytest.raises(TypeError):
        Loop(None, profile=True)


def test_reading_the_counter_is_paid_for_once():
    inside, outside = overhead()
    assert overhead() == (inside, outside)
    assert 0 <= inside < 2000 and 0 <= outside < 2000
