# SPDX-License-Identifier: BSD-3-Clause
"""Pipelines on several lcores that are replaced while they run: nothing is lost or leaked, and waits end."""

from __future__ import annotations

import gc
import threading
import time
import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stages import Hooked

from dataplane import App, Frames, Mempool, Pipeline, probe
from dataplane.apps import Counter, Sink
from dataplane.errors import AppError, GraphError, LcoreStuck
from dataplane.reports.stats import Balance

FRAME = bytes(range(64))
POOL = Mempool(4096, hugepages="no", name="test-placement-replace")
WAIT = 20


def endless():
    return Frames([FRAME], repeat=None, pool=POOL)


def wait_for(holds):
    deadline = time.monotonic() + WAIT
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def grows(count):
    before = count()
    wait_for(lambda: count() > before)


def test_hundreds_of_replacements_lose_nothing_and_leak_nothing():
    source, sink, port = endless(), Counter(), probe("null:")
    gone = []

    def pipeline(n):
        app = Hooked()
        gone.append(weakref.ref(app))
        lcores = {app: "b", sink: "a" if n % 3 else "b", source: "a"}
        return Pipeline(
            source >> app >> sink >> port.tx(0), lcores=lcores, full="wait", handoff_slots=64 << n % 2
        )

    with pytest.raises(GraphError, match="counter is on lcore"), pipeline(1).start() as running:
        running.replace(pipeline(3))  # the counter may not move to another lcore
    gone.clear()
    with pipeline(1).start() as running:
        for n in range(300):
            running.replace(pipeline(3 * n + 1))
            if n % 50 == 0:
                grows(lambda: sink.packets)
        gc.collect()
        assert sum(app() is not None for app in gone) <= 2
        report = running.stop()
    assert report.ok and report.balance.missing == 0
    assert set(report.drops) <= {"frames.out.stopped", "hooked.out.stopped"}
    assert report.packets == report.balance.sent + report.dropped
    assert report.edges["frames.out"].packets == report.packets
    assert POOL.in_use == 0


def test_packets_in_rings_reach_the_old_apps_and_counters_carry_over():
    source, first, second, sink = endless(), Hooked(name="first"), Hooked(name="second"), Sink()

    def pipeline(*apps):
        chain = source
        for app in apps:
            chain = chain >> app
        return Pipeline(chain >> sink, lcores={apps[0]: "b", sink: "c"}, full="wait")

    with pipeline(first).start() as running:
        grows(lambda: sink.packets)
        running.replace(pipeline(first, second))
        grows(lambda: sink.packets)
        running.replace(pipeline(second))
        grows(lambda: sink.packets)
        report = running.stop()
    assert report.drops == {} and report.balance == Balance(generated=report.packets, consumed=report.packets)
    assert report.edges["frames.out"].packets == sink.packets == report.packets


def test_a_hand_off_that_stays_is_the_same():
    source, app, sink = endless(), Counter(), Sink()
    lcores = {app: "b", sink: "c"}
    old = Pipeline(source >> app >> sink, lcores=lcores)
    new = Pipeline(source >> app >> sink, lcores=lcores, full="wait", burst=64)
    with old.start() as running:
        before = [each.tx for each in old.graph.handoffs]
        grows(lambda: sink.packets)
        running.replace(new)
        assert [each.tx for each in new.graph.handoffs] == before
        assert all(each.tx.waits and each.rx.burst == 64 for each in new.graph.handoffs)
        drops = dict(running.read()[1])
        grows(lambda: sink.packets)
        report = running.stop()
    assert {name: n for name, n in report.drops.items() if name.endswith("full")} == drops
    assert report.balance.missing == 0


def test_the_way_back_is_replaced_without_loss():
    """Two lcores that send to each other: neither can be first."""
    source, sink = endless(), Sink()

    def pipeline():
        app = Hooked()
        return Pipeline(source >> app >> sink, lcores={app: "b", source: "a", sink: "a"}, full="wait")

    with pipeline().start() as running:
        for _ in range(50):
            running.replace(pipeline())
        grows(lambda: sink.packets)
        report = running.stop()
    assert set(report.drops) <= {"frames.out.stopped", "hooked.out.stopped"} and report.ok
    assert report.packets == sink.packets + report.dropped


def test_an_app_that_does_not_start_leaves_the_old_pipeline_as_it_was():
    source, app, sink = endless(), Counter(), Sink()
    bad = Hooked(fails="start")
    with Pipeline(source >> app >> sink, lcores={app: "b"}).start() as running:
        with pytest.raises(AppError, match="start is broken"):
            running.replace(Pipeline(source >> app >> bad >> sink, lcores={app: "b"}))
        grows(lambda: sink.packets)
        assert running.stop().ok


def test_a_sender_that_waits_does_not_hang_a_replacement():
    """The receiver returns from its lap late: either it does so in time, or nothing is replaced."""

    class Slow(App):
        def __init__(self):
            self.may = threading.Event()
            self.waits = threading.Event()

        def process(self, burst):
            self.waits.set()
            assert self.may.wait(WAIT)

    source, slow, sink = endless(), Slow(), Sink()

    def pipeline(*apps):
        chain = source >> slow
        for app in apps:
            chain = chain >> app
        return Pipeline(chain >> sink, lcores={slow: "b"}, full="wait", handoff_slots=64)

    with pipeline().start() as running:
        assert slow.waits.wait(WAIT)
        with pytest.raises(LcoreStuck):
            running.replace(pipeline(Hooked()), timeout=0.3)
        slow.may.set()
        grows(lambda: sink.packets)
        running.replace(pipeline(Hooked(name="new")))
        grows(lambda: sink.packets)
        report = running.stop()
    assert report.edges["new.out"].packets > 0 and report.balance.missing == 0


def test_an_lcore_cannot_come_or_go():
    source, app, sink = endless(), Counter(), Sink()
    with Pipeline(source >> app >> sink, lcores={app: "b"}).start() as running:
        with pytest.raises(GraphError, match="nothing would run on lcore b"):
            running.replace(Pipeline(source >> Counter() >> Sink()))
        with pytest.raises(GraphError, match="on lcore c: the run has None, b"):
            running.replace(Pipeline(source >> app >> Sink(), lcores={app: "c"}))
        grows(lambda: sink.packets)


APPS = [Hooked(name=name) for name in "abcd"]
HOMES = dict(zip(APPS, ("a", "b", "a", "b"), strict=True))
rows = st.lists(
    st.lists(st.sampled_from(APPS), unique_by=id, min_size=1, max_size=4).filter(
        lambda apps: {HOMES[app] for app in apps} == {"a", "b"}
    ),
    min_size=1,
    max_size=5,
)


@settings(deadline=None, max_examples=30)
@given(rows, st.sampled_from([2, 64]), st.booleans())
def test_every_packet_is_counted(drawn, slots, stepped):
    source, sink = endless(), Sink()

    def pipeline(apps):
        chain = source
        for app in apps:
            chain = chain >> app
        homes = {source: "a", sink: "b"} | {app: HOMES[app] for app in apps}
        return Pipeline(chain >> sink, lcores=homes, full="wait", handoff_slots=slots)

    if stepped:
        with pipeline(drawn[0]).stepper() as stepper:
            stepper.step(3)
            for apps in drawn[1:]:
                stepper.replace(pipeline(apps))
                stepper.step(3)
        report = stepper.report
        assert report.packets == 3 * 32 * len(drawn) == sink.packets
    else:
        with pipeline(drawn[0]).start() as running:
            for apps in drawn[1:]:
                running.replace(pipeline(apps))
            report = running.stop()
    assert report.ok and report.balance.missing == 0 == report.balance.held
    assert report.packets == sink.packets + report.dropped
    assert all(name.endswith(".stopped") for name in report.drops)
    assert POOL.in_use == 0
