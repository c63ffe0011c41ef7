# SPDX-License-Identifier: BSD-3-Clause
"""Pipelines that are replaced while they run: what stays, what goes, what fails, and that every packet is accounted for."""

from __future__ import annotations

import gc
import threading
import time
import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stages import Discard, Hooked

from dataplane import Frames, Pipeline, start
from dataplane.byhand import receive
from dataplane.errors import AppError, GraphError, LcoreStuck, PortError
from dataplane.pmd import probe

FRAME = bytes(range(64))
WAIT = 20


def endless():
    return Frames([FRAME], repeat=None)


def wait_for(holds):
    deadline = time.monotonic() + WAIT
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def moves(running):
    """Wait until the run has made more packets than now."""
    before = running.packets
    wait_for(lambda: running.packets > before)


def test_what_stays_keeps_its_counters_and_what_goes_stays_in_the_report():
    calls = []
    source, sink = endless(), probe("null:")
    old, new = Hooked(name="old", calls=calls), Hooked(name="new", calls=calls)
    stays = Hooked(name="stays", calls=calls)
    with start(Pipeline(source >> old >> stays >> sink.tx(0))) as running:
        moves(running)
        running.replace(Pipeline(source >> stays >> new >> sink.tx(0), name="second"))
        assert sink.started
        moves(running)
        report = running.stop()
    assert [call[:2] for call in calls if call.app != "stays"] == [
        ("old", "start"), ("new", "start"), ("old", "stop"), ("new", "stop"),
    ]  # fmt: skip
    assert [call.hook for call in calls if call.app == "stays"] == ["start", "stop"]
    assert {call.thread for call in calls} == {"lcore-any"}
    packets = {name: count.packets for name, count in report.edges.items()}
    assert (
        packets["frames.out"]
        == packets["stays.out"]
        == packets["old.out"] + packets["new.out"]
        == report.packets
    )
    assert report.ports["null:"]["tx_good_packets"] == report.packets
    assert report.app == "second" and report.ok and not sink.started


def test_ports_come_and_go():
    first, second, source = probe("null:"), probe("ring:comes"), endless()
    with start(Pipeline(source >> first.tx(0))) as running:
        moves(running)
        running.replace(Pipeline(source >> second.tx(0), second.rx(0) >> Discard()))
        assert second.started and not first.started
        moves(running)
        running.replace(Pipeline(source >> first.tx(0)))
        assert first.started and not second.started
        moves(running)
        report = running.stop()
    made = report.edges["frames.out"].packets
    through = report.ports["ring:comes"]
    assert made == report.ports["null:"]["tx_good_packets"] + through["tx_good_packets"]
    assert through["tx_good_packets"] == through["rx_good_packets"] == report.drops["discard.all"] > 0
    assert through["rx_missed_errors"] == 0


@pytest.mark.parametrize("lcores", [1, 2])
def test_if_an_app_does_not_start_the_old_pipelines_stay(lcores):
    sinks = [probe("null:") for _ in range(lcores)]
    new = probe("null:")
    sources = [endless() for _ in range(lcores)]
    pipelines = [Pipeline(source >> sink.tx(0)) for source, sink in zip(sources, sinks, strict=True)]
    calls = []
    bad = [
        Pipeline(source >> Hooked(name="good", calls=calls) >> sink.tx(0))
        for source, sink in zip(sources, sinks, strict=True)
    ]
    bad[-1] = Pipeline(
        sources[-1]
        >> Hooked(name="bad", calls=calls, fails="start")
        >> Hooked(name="last", calls=calls)
        >> new.tx(0)
    )
    with start(*pipelines, lcores=(None,) * lcores) as running:
        with pytest.raises(AppError, match=r"bad: start\(\) raised RuntimeError: start is broken"):
            running.replace(*bad)
        assert not new.started
        moves(running)
        report = running.stop()
    assert sorted(call[:2] for call in calls) == sorted(
        [("last", "start"), ("bad", "start"), ("last", "stop")]
        + [("good", "start"), ("good", "stop")] * (lcores - 1)
    )
    assert report.packets == sum(sink.xstats()["tx_good_packets"] for sink in sinks)
    Pipeline(Frames([FRAME]) >> new.tx(0)).run()  # no run holds it


def test_what_cannot_be_is_refused_and_changes_nothing():
    source, sink, other = endless(), probe("null:"), probe("null:")
    elsewhere = Pipeline(endless() >> other.tx(0), name="elsewhere")
    first, second = Hooked(), Hooked()
    one = Pipeline(source >> first >> sink.tx(0), name="one")
    two = Pipeline(endless() >> second >> sink.tx(1), name="two")
    with elsewhere.start(), start(one, two, lcores=(None, None)) as running:
        for pipelines, message in (
            ((), "0 pipelines for a run on 2 lcores"),
            ((one,), "1 pipelines for a run on 2 lcores"),
            ((two, one), "is on lcore 1 of the run and would be on lcore 0"),
            (
                (one, Pipeline(endless() >> other.tx(0), name="three")),
                "in three and in elsewhere, which is running",
            ),
            (
                (one, Pipeline(endless() >> sink.tx(0), name="three")),
                r"is on lcore 0 of the run and would be on lcore 1",
            ),
            ((one, Pipeline(source >> Hooked())), "leads nowhere"),
        ):
            with pytest.raises(GraphError, match=message):
                running.replace(*pipelines)
        with pytest.raises(PortError, match="running without Tx queue 2"):
            sink.tx(2)
        moves(running)
    with pytest.raises(GraphError, match="is over"):
        running.replace(one, two)


def test_a_thousand_replacements_lose_nothing_and_leak_nothing():
    source, ring, sink = endless(), probe("ring:thousand,slots=4096"), probe("null:")
    gone = []

    def pipelines():
        app = Hooked()
        gone.append(weakref.ref(app))
        return (
            Pipeline(source >> app >> ring.tx(0), lossless=True),
            Pipeline(ring.rx(0) >> Hooked() >> sink.tx(0), lossless=True),
        )

    with start(*pipelines(), lcores=(None, None)) as running:
        for n in range(1000):
            running.replace(*pipelines())
            if n % 100 == 0:
                moves(running)
        gc.collect()
        assert sum(app() is not None for app in gone) <= 2
        report = running.stop()
    packets = {name: count.packets for name, count in report.edges.items()}
    counted = report.ports["ring:thousand,slots=4096"]
    assert packets["frames.out"] == packets["hooked.out"] == counted["tx_good_packets"] + report.dropped
    assert counted["tx_good_packets"] == counted["rx_good_packets"] + counted["rx_missed_errors"]
    assert counted["rx_good_packets"] == packets["hooked-2.out"] == report.ports["null:"]["tx_good_packets"]
    assert set(report.drops) <= {"ring:thousand,slots=4096.tx(0).stopped"}  # by the end of the run


def test_an_lcore_that_does_not_end_its_lap_keeps_what_it_runs():
    source, ring = endless(), probe("ring:full,slots=64")
    pipeline = Pipeline(source >> ring.tx(0), lossless=True)
    reader = Pipeline(endless() >> Discard())
    with start(pipeline, reader, lcores=(None, None)) as running:
        wait_for(lambda: running._assembly.loops[0].packets > 0)
        calls = []
        with pytest.raises(LcoreStuck, match=r"has not ended a lap in 1 s"):
            running.replace(
                Pipeline(source >> Hooked(name="new", calls=calls) >> ring.tx(0)),
                Pipeline(endless() >> Hooked(name="beside", calls=calls) >> Discard()),
                timeout=1.0,  # in which the other one ends a lap on any machine
            )
        assert [call[:2] for call in calls] == [("beside", "start"), ("beside", "stop")]
        moves(running)
        report = running.stop()
    assert report.edges["frames.out"].packets == report.dropped - report.drops["discard.all"] + 64


def test_settings_of_the_ends_are_those_of_the_new_pipeline():
    source, ring = endless(), probe("ring:settings,slots=64")
    ring.rx(0)
    with start(Pipeline(source >> ring.tx(0), lossless=True)) as running:
        # The lcore waits in a lap; room lets it end.
        thread = threading.Thread(target=running.replace, args=(Pipeline(source >> ring.tx(0)),))
        thread.start()
        while thread.is_alive():
            receive(ring.rx(0), 32)
            thread.join(0.01)
        moves(running)
        report = running.stop()
    assert report.drops["ring:settings,slots=64.tx(0).tx_full"] > 0


def test_a_run_that_is_done_goes_on_with_new_sources():
    sink, held = probe("null:"), endless()
    with Pipeline(Frames([FRAME], repeat=5) >> sink.tx(0)).stepper() as stepper:
        assert stepper.finish() == 5
        stepper.replace(Pipeline(Frames([FRAME], repeat=7) >> sink.tx(0)))
        assert stepper.finish() == 7
        stepper.replace(Pipeline(held >> Hooked() >> sink.tx(0)))
        assert stepper.step(2) == 64
        with pytest.raises(AppError, match="start is broken"):
            stepper.replace(Pipeline(held >> Hooked(fails="start") >> sink.tx(0)))
        assert stepper.step(1) == 32
    assert stepper.report.ports["null:"]["tx_good_packets"] == 5 + 7 + 64 + 32 == stepper.report.packets


def test_a_stop_while_it_is_replaced_ends_it():
    slow = threading.Event()

    class Slow(Hooked):
        def start(self):
            slow.set()
            time.sleep(0.2)
            super().start()

    source, sink = endless(), probe("null:")
    errors = []

    def change():
        try:
            running.replace(Pipeline(source >> app >> sink.tx(0)))
        except GraphError as error:
            errors.append(error)

    app = Slow()
    running = start(Pipeline(source >> sink.tx(0), name="old"))
    thread = threading.Thread(target=change)
    thread.start()
    assert slow.wait(WAIT)
    report = running.stop()
    thread.join(WAIT)
    assert [call.hook for call in app.calls] == ["start", "stop"]
    assert report.packets == report.ports["null:"]["tx_good_packets"]
    assert report.balance.missing == 0 and not running.running
    # It came first, or it is refused.
    assert bool(errors) == (report.app == "old")


APPS = [Hooked(name=name) for name in "abcdef"]
SINKS = [probe(f"ring:sink{n}") for n in range(2)] + [probe("null:")]
graphs = st.lists(
    st.tuples(st.lists(st.sampled_from(APPS), unique_by=id, max_size=4), st.sampled_from(SINKS)),
    min_size=1,
    max_size=6,
)


@settings(deadline=None, max_examples=40)
@given(graphs, st.booleans())
def test_every_packet_is_accounted_for(drawn, lossless):
    source = endless()

    def pipeline(apps, sink):
        chain = source
        for app in apps:
            chain = chain >> app
        if sink is SINKS[-1]:
            return Pipeline(chain >> sink.tx(0), lossless=lossless)
        return Pipeline(chain >> sink.tx(0), sink.rx(0) >> Discard(), lossless=lossless)

    with pipeline(*drawn[0]).stepper() as stepper:
        stepper.step(3)
        for apps, sink in drawn[1:]:
            stepper.replace(pipeline(apps, sink))
            stepper.step(3)
    report = stepper.report
    assert report.balance.missing == 0 and report.ok
    sent = sum(counted["tx_good_packets"] for counted in report.ports.values())
    received = sum(counted["rx_good_packets"] for counted in report.ports.values())
    missed = sum(counted["rx_missed_errors"] for counted in report.ports.values())
    made = report.edges["frames.out"].packets
    assert made == 3 * 32 * len(drawn) == sent + sum(n for name, n in report.drops.items() if "tx(" in name)
    assert (report.balance.generated, report.balance.received, report.balance.sent) == (made, received, sent)
    assert received == sum(n for name, n in report.drops.items() if name.startswith("discard"))
    nulls = report.ports.get("null:", {}).get("tx_good_packets", 0)
    assert sent - nulls == received + missed
    assert report.packets == made + received
