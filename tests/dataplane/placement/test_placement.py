# SPDX-License-Identifier: BSD-3-Clause
"""Pipelines on several lcores: where stages run, what a full hand-off does, and that every packet is counted."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stages import Discard, Hooked

from dataplane import App, Collect, Frames, Mempool, Pipeline, machine, probe, start
from dataplane.apps import Counter, Sink, Tee
from dataplane.errors import AppError, ConfigError, GraphError
from dataplane.reports.stats import Balance

FRAMES = [number.to_bytes(4, "big") + bytes(60) for number in range(1000)]
POOL = Mempool(2048, hugepages="no", name="test-placement")
WAIT = 20


def endless():
    return Frames(FRAMES[:1], repeat=None, pool=POOL)


def wait_for(holds):
    deadline = time.monotonic() + WAIT
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.002)


class Where(App):
    """Notes the threads that called it."""

    def __init__(self):
        self.threads = set()

    def process(self, burst):
        self.threads.add(threading.current_thread().name)


class Slow(App):
    """Waits until it may go on, at each burst."""

    def __init__(self):
        self.may = threading.Event()
        self.waits = threading.Event()

    def process(self, burst):
        self.waits.set()
        assert self.may.wait(WAIT)


def test_stages_run_where_they_are_placed_or_with_the_one_before_them():
    first, second, third, fourth, sink = Where(), Where(), Where(), Where(), Collect()
    pipeline = Pipeline(
        Frames(FRAMES, pool=POOL) >> first >> second >> third >> fourth >> sink,
        lcores={second: "b", fourth: "c"},
        full="wait",
    )
    report = pipeline.run()
    assert [app.threads for app in (first, second, third, fourth)] == [
        {"lcore-any"}, {"lcore-b"}, {"lcore-b"}, {"lcore-c"},
    ]  # fmt: skip
    assert sink.frames == FRAMES
    assert report.balance == Balance(generated=1000, consumed=1000) and report.ok
    assert report.packets == 1000 and report.drops == {}
    assert report.edges["where.out"].packets == report.edges["where-4.out"].packets == 1000
    assert report.edges["where.out"].bytes == report.edges["where-4.out"].bytes == 64_000


def test_an_lcore_is_a_cpu_a_name_or_the_one_of_the_run():
    cpu = machine.usable_cpus()[-1]
    app, sink = Where(), Sink()
    report = Pipeline(Frames(FRAMES, pool=POOL) >> app >> sink, lcores={app: cpu}, full="wait").run()
    assert app.threads == {f"lcore-{cpu}"} and sink.packets == 1000 and report.ok
    # The app is on that lcore anyway, so no hand-off is needed.
    pipeline = Pipeline(Frames(FRAMES, pool=POOL) >> app >> sink, lcores={app: cpu})
    pipeline.run(cpu)
    assert pipeline.graph.handoffs == []


def test_queues_are_placed_as_apps_are():
    left, right = probe("ring:placed-left"), probe("null:")
    app, feed = Where(), probe("ring:placed-left")
    pipelines = (
        Pipeline(Frames(FRAMES, pool=POOL) >> feed.tx(0), lossless=True),
        Pipeline(
            left.rx(0) >> app >> right.tx(0),
            lcores={left.rx(0): "in", right.tx(0): "out", app: "app"},
            lossless=True,
        ),
    )
    with start(*pipelines, lcores=(None, None)) as running:
        wait_for(lambda: right.xstats()["tx_good_packets"] == 1000)
        report = running.stop()
    assert app.threads == {"lcore-app"}
    assert report.balance == Balance(generated=1000, received=1000, sent=2000)


def test_there_and_back_again():
    """Packets leave an lcore and come back to it: it ends when all have."""
    source, app, sink = Frames(FRAMES, pool=POOL), Where(), Collect()
    report = Pipeline(source >> app >> sink, lcores={app: "other", sink: None}, full="wait").run()
    assert sink.frames == FRAMES and report.ok and report.balance == Balance(generated=1000, consumed=1000)


def test_a_full_ring_drops_by_name_and_everything_is_counted():
    slow, sink = Slow(), Sink()
    pipeline = Pipeline(endless() >> slow >> sink, lcores={slow: "slow"}, handoff_slots=128)
    with pipeline.start() as running:
        wait_for(lambda: running.read()[1].get("frames.out.full", 0) > 100)
        slow.may.set()
        wait_for(lambda: sink.packets > 100)
        report = running.stop()
    assert report.ok and report.balance.missing == 0
    assert report.drops["frames.out.full"] > 100
    assert report.packets == report.dropped + sink.packets


@pytest.mark.parametrize("options", [{"full": "wait"}, {"lossless": True}])
def test_waiting_loses_nothing(options):
    source, first, second, sink = Frames(FRAMES, repeat=20, pool=POOL), Counter(), Counter(), Sink()
    pipeline = Pipeline(
        source >> first >> second >> sink,
        lcores={first: "a", second: "b", sink: "c"},
        handoff_slots=64,
        **options,
    )
    report = pipeline.run()
    assert report.drops == {} and sink.packets == 20_000 == report.packets


def test_the_policy_may_differ_by_stage():
    slow, tee, keep, lose = Slow(), Tee(mempool=POOL), Sink(), Sink()
    pipeline = Pipeline(
        Frames(FRAMES, repeat=5, pool=POOL) >> tee >> keep,
        tee["copy"] >> slow >> lose,
        lcores={keep: "keep", slow: "lose"},
        full={keep: "wait"},
        handoff_slots=64,
    )
    with pipeline.start() as running:
        wait_for(lambda: keep.packets == 5000)
        slow.may.set()
        report = running.stop()
    assert set(report.drops) == {"tee.copy.full"} and report.balance.missing == 0


def test_a_stop_ends_a_wait():
    slow, sink = Slow(), Sink()
    pipeline = Pipeline(endless() >> slow >> sink, lcores={slow: "slow"}, full="wait", handoff_slots=64)
    with pipeline.start() as running:
        assert slow.waits.wait(WAIT)
        wait_for(lambda: pipeline.graph.handoffs[0].tx.held > 32)
        threading.Timer(0.7, slow.may.set).start()
        began = time.monotonic()
        report = running.stop()
    assert time.monotonic() - began < WAIT / 2
    assert report.balance.missing == 0 and set(report.drops) <= {"frames.out.stopped"}
    assert report.packets == report.dropped + sink.packets


def test_an_error_of_the_receiver_ends_a_wait():
    class Breaks(App):
        def process(self, burst):
            raise OverflowError("enough")

    app = Breaks()
    pipeline = Pipeline(endless() >> app >> Sink(), lcores={app: "breaks"}, full="wait", handoff_slots=64)
    with pytest.raises(AppError, match="enough"):
        pipeline.run(seconds=WAIT)
    assert set(pipeline.report.drops) == {"breaks.error", "frames.out.stopped"}
    assert pipeline.report.balance.missing == 0


def test_an_error_of_the_sender_ends_the_receiver():
    class Breaks(App):
        def process(self, burst):
            raise OverflowError("enough")

    sink = Sink()
    pipeline = Pipeline(endless() >> Breaks() >> sink, lcores={sink: "sink"})
    with pytest.raises(AppError, match="enough"):
        pipeline.run(seconds=WAIT)


def test_an_app_that_does_not_start_ends_the_other_lcores():
    app = Hooked(fails="start")
    pipeline = Pipeline(endless() >> app >> Sink(), lcores={app: "other"}, full="wait", handoff_slots=64)
    with pytest.raises(AppError, match="start is broken"):
        pipeline.run(seconds=WAIT)
    assert pipeline.report.balance.missing == 0


def test_a_count_is_of_the_lcores_with_sources():
    sink = Sink()
    report = Pipeline(endless() >> Counter() >> sink, lcores={sink: "sink"}, full="wait").run(count=1000)
    assert report.packets == sink.packets == 1000


def test_a_source_beside_a_hand_off_ends_with_its_count_and_the_hand_off_goes_on():
    slow, sink = Slow(), Sink()
    slow.may.set()
    pipeline = Pipeline(
        Frames(FRAMES, repeat=2, pool=POOL) >> sink,
        endless() >> sink,
        lcores={sink: "sink"},
        full="wait",
    )
    pipeline.lcores[pipeline.chains[1].first] = "sink"
    report = pipeline.run(count=2000)
    assert report.packets == sink.packets == 4000


def test_a_stepper_steps_all_lcores_in_its_thread():
    first, second, sink = Where(), Where(), Sink()
    pipeline = Pipeline(
        Frames(FRAMES, burst=256, pool=POOL) >> first >> second >> sink,
        lcores={first: "a", second: "b", sink: "a"},
        handoff_slots=32,
        lossless=True,
    )
    with pipeline.stepper() as stepper:
        assert stepper.step(1) == 256 and sink.packets == 256
        assert stepper.finish() == 744
    assert first.threads == second.threads == {threading.current_thread().name}
    assert stepper.report.balance == Balance(generated=1000, consumed=1000)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (lambda a, b: {"lcores": {b: 1}}, r"lcores names other, which is none of its stages"),
        (lambda a, b: {"lcores": {a: -1}}, r"lcores=\{hooked: -1\}: expected a CPU number or a name"),
        (lambda a, b: {"lcores": {a: True}}, r"expected a CPU number or a name"),
        (lambda a, b: {"lcores": {a: ""}}, r"expected a CPU number or a name"),
        (lambda a, b: {"lcores": 3}, r"lcores=3: expected stages and what holds for each"),
        (lambda a, b: {"full": "block"}, r'full=\'block\': expected "wait" or "drop"'),
        (lambda a, b: {"full": {a: None}}, r'full=None: expected "wait" or "drop"'),
        (lambda a, b: {"full": {b: "wait"}}, r"full names other"),
        (lambda a, b: {"full": "drop", "lossless": True}, r"lossless=True waits everywhere"),
    ],
)
def test_what_cannot_be_is_refused(options, message):
    app, other = Hooked(), Hooked(name="other")
    with pytest.raises(GraphError, match=message):
        Pipeline(endless() >> app >> Discard(), **options(app, other)).check()


def test_explain_shows_lcores_and_rings():
    app, sink = Counter(), Sink()
    pipeline = Pipeline(
        Frames(FRAMES, pool=POOL) >> app >> sink, lcores={app: 0, sink: "end"}, full={sink: "wait"}
    )
    assert pipeline.explain().splitlines() == [
        "pipeline",
        "frames [nogil]",
        "└─ out, by a ring of 1,024 slots, full: drop →",
        "   counter [nogil] on lcore 0",
        "   └─ out, by a ring of 1,024 slots, full: wait →",
        "      sink [nogil] on lcore end",
    ]
    pipeline.run()
    assert "sink [nogil] on lcore end" in pipeline.explain()


def test_sizes_that_cannot_be_are_refused():
    sink = Discard()
    with pytest.raises(ConfigError, match="a ring of 100 slots: must be a power of two"):
        Pipeline(endless() >> sink, lcores={sink: "x"}, handoff_slots=100).run()


def test_lcores_without_work_are_refused():
    source, app = endless(), Hooked()
    cpu = machine.usable_cpus()[0]
    pipeline = Pipeline(source >> app >> Discard(), lcores={source: "a", app: "b"})
    with pytest.raises(GraphError, match=f"no stage would run on lcore {cpu}"):
        pipeline.run(cpu)
    report = pipeline.run(count=100)
    assert report.packets == 100


@st.composite
def graphs(draw):
    """(chains, lcores, sinks): up to five apps in a row, each on one of three lcores, with more edges forward."""
    apps = [Counter() if draw(st.booleans()) else Tee(mempool=POOL) for _ in range(draw(st.integers(1, 5)))]
    sink = Sink()
    chains = [Frames(FRAMES, burst=draw(st.integers(1, 256)), pool=POOL) >> apps[0]]
    for place, app in enumerate(apps):
        later = [*apps[place + 1 :], sink]
        chains.append(app >> later[0])
        if isinstance(app, Tee) and draw(st.booleans()):
            chains.append(app["copy"] >> draw(st.sampled_from(later)))
    names = st.sampled_from(["a", "b", None])
    lcores = {stage: draw(names) for stage in [*apps, sink] if draw(st.booleans())}
    return chains, lcores, sink


@settings(max_examples=40, deadline=None)
@given(graphs(), st.sampled_from([2, 32, 1024]), st.sampled_from(["wait", "drop"]), st.booleans())
def test_in_graphs_of_any_shape_every_packet_is_counted(drawn, slots, full, stepped):
    chains, lcores, sink = drawn
    pipeline = Pipeline(*chains, lcores=lcores, full=full, handoff_slots=slots)
    if stepped:
        with pipeline.stepper() as stepper:
            stepper.finish()
        report = stepper.report
    else:
        report = pipeline.run()
    balance = report.balance
    assert report.ok and balance.missing == 0 == balance.held == balance.received
    assert balance.generated + balance.copied == sink.packets + report.dropped and balance.generated == 1000
    if full == "wait":
        assert not [name for name in report.drops if name.endswith(".full")]
    assert not pipeline.graph.faulty()
    assert POOL.in_use == 0
