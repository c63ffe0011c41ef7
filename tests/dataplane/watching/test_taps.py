# SPDX-License-Identifier: BSD-3-Clause
"""Taps on edges: what gets copies, that the packets themselves go on, and that setting and removing one loses nothing."""

from __future__ import annotations

import gc
import time
import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stages import Discard, Hooked

from dataplane import App, Collect, Frames, Mempool, Pipeline, start
from dataplane.apps import Counter, PcapDump, Sink
from dataplane.errors import AppError, ConfigError, GraphError
from dataplane.files.pcapfile import PcapReader
from dataplane.graph.edge_tap import EdgeTap
from dataplane.pmd import probe

FRAMES = [bytes([number]) * (60 + number) for number in range(32)]
JUMBO = bytes(range(256)) * 30


def endless(frames=FRAMES):
    return Frames(frames, repeat=None)


def wait_for(holds):
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.001)


class Halves(App):
    edges = ("out", "odd", "never")
    optional = ("never",)

    def process(self, burst):
        return [at % 2 for at in range(len(burst))]


def test_copies_are_the_packets_and_the_packets_go_on():
    kept, passed = Collect(), Collect()
    source = Frames([*FRAMES, JUMBO], pool=Mempool(64, data_room=9216))
    pipeline = Pipeline(source >> Counter() >> passed)
    tap = pipeline.tap(source, kept, name="look")
    report = pipeline.run()
    assert kept.frames == passed.frames == [*FRAMES, JUMBO]
    assert tap.packets == 33 and tap.missed == 0
    assert (report.balance.generated, report.balance.copied, report.balance.consumed) == (33, 33, 66)
    assert report.balance.missing == 0 and report.edges["look.copy"].packets == 33
    assert "look" in pipeline.explain()
    pipeline.untap(tap)
    assert pipeline.run().balance.copied == 0


def test_a_copy_is_its_own():
    class Scribble(App):
        def process(self, burst):
            for packet in burst:
                packet.data[:4] = b"\xff" * 4

    source, passed = Frames(FRAMES), Collect()
    pipeline = Pipeline(source >> passed)
    pipeline.tap(source, Scribble() >> Sink())
    pipeline.run()
    assert passed.frames == FRAMES


def test_a_dry_pool_costs_the_copy_and_not_the_packet():
    pool = Mempool(64, name="small")
    source, passed = Frames(FRAMES, repeat=100), Sink()
    held = pool.take(40)
    pipeline = Pipeline(source >> passed)
    tap = pipeline.tap(source, Discard(), mempool=pool)
    report = pipeline.run()
    pool.give(held)
    assert passed.packets == 3200
    assert tap.missed == report.drops["tap.no_mbuf"] > 0 and tap.packets + tap.missed == 3200
    assert tap.packets > 0 and report.balance.copied == 3200 and report.balance.missing == 0


def test_two_hundred_taps_under_traffic_lose_nothing_of_the_main_path(tmp_path):
    source, halves, ring, null = endless(), Halves(), probe("ring:tapped,slots=4096"), probe("null:")
    main = Pipeline(
        source >> halves >> ring.tx(0), halves["odd"] >> Counter() >> null.tx(0), ring.rx(0) >> Discard()
    )
    before = main.check()
    edges = [source, halves, halves["odd"], ring.rx(0)]
    copies = 0
    with start(main) as running:
        wait_for(lambda: running.packets > 1000)
        for number in range(200):
            if number % 20 == 0:
                target = PcapDump(tmp_path / f"{number}.pcap") >> Sink()
            else:
                target = Counter() >> Sink() if number % 2 else Sink()
            tap = running.tap(edges[number % 4], target)
            copied = tap.packets
            wait_for(lambda tap=tap, copied=copied: tap.packets + tap.missed > copied)
            copies += tap.packets > 0
            running.untap(tap)
        report = running.stop()
    assert copies > 150
    assert report.ok and report.balance.missing == 0
    made = report.edges["frames.out"].packets
    ports = report.ports
    assert not report.drops or set(report.drops) <= {"tap.no_mbuf", "discard.all"}, report.drops
    sent = ports["ring:tapped,slots=4096"]["tx_good_packets"]
    assert made == sent + ports["null:"]["tx_good_packets"]
    assert sent == report.drops["discard.all"] == ports["ring:tapped,slots=4096"]["rx_good_packets"]
    assert report.balance.copied == report.edges["tap.copy"].packets + report.drops.get("tap.no_mbuf", 0)
    assert main.taps == [] and len(main.check().apps) == len(before.apps)


def test_a_capture_of_a_running_pipeline_is_whole(tmp_path):
    source, file = endless(), tmp_path / "seen.pcap"
    with start(Pipeline(source >> Counter() >> probe("null:").tx(0))) as running:
        wait_for(lambda: running.packets > 100)
        tap = running.tap(source, PcapDump(file) >> Sink())
        wait_for(lambda: tap.packets > 64)
        running.untap(tap)
        running.stop()
    with PcapReader(file) as reader:
        found = [bytes(record.data) for record in reader]
    assert len(found) == tap.packets
    first = FRAMES.index(found[0])
    assert all(each == FRAMES[(first + at) % 32] for at, each in enumerate(found))


def test_taps_upon_taps():
    """On one edge, on the edge of a tap's own app, on an lcore of several; each is removed by itself."""
    source, first, second, third = endless(), Counter(), Sink(), Sink()
    other = endless()
    with start(Pipeline(other >> Sink()), Pipeline(source >> Sink()), lcores=(None, None)) as running:
        one = running.tap(source, first >> Sink(), name="one")
        two = running.tap(source, second, name="two")
        three = running.tap(first, third, name="three")
        four = running.tap(other, Sink(), name="four")
        wait_for(lambda: all(tap.packets for tap in (one, two, three, four)))
        with pytest.raises(GraphError, match=r"counter.* is no stage of pipeline"):
            running.untap(one)  # three is on an edge behind it
        running.untap(three)
        running.untap(one)
        seen = two.packets
        wait_for(lambda: two.packets > seen)
        report = running.stop()
    assert report.ok and report.balance.missing == 0


def test_a_tap_that_does_not_start_changes_nothing():
    source, calls = endless(), []
    pipeline = Pipeline(source >> Sink())
    with start(pipeline) as running:
        with pytest.raises(AppError, match="start is broken"):
            running.tap(source, Hooked(fails="start", calls=calls) >> Sink())
        assert pipeline.taps == []
        tap = running.tap(source, Hooked() >> Sink())
        seen = running.packets
        wait_for(lambda: running.packets > seen)
        report = running.stop()
    assert tap.packets and report.balance.missing == 0
    assert pipeline.taps == [], "a tap of a run is over with it"


def test_what_a_tap_used_is_let_go_of():
    source = endless()
    target = Hooked()
    gone = weakref.ref(target)
    with Pipeline(source >> Sink()).stepper() as stepper:
        tap = stepper.tap(source, target >> Sink())
        stepper.step(3)
        assert tap.packets == 96
        pool = weakref.ref(tap.app.mempool)
        stepper.untap(tap)
        del tap, target
        gc.collect()
        assert gone() is None and pool() is None
        stepper.step(1)
    assert stepper.report.edges["tap.copy"].packets == 96 and stepper.report.balance.copied == 96


def test_mistakes_are_refused():
    source, halves, sink = endless(), Halves(), Sink()
    pipeline = Pipeline(source >> halves >> sink, halves["odd"] >> Counter() >> Sink())
    for edge, words in (
        (Counter(), "is no stage of pipeline"),
        (sink, "sink has no edges, it ends a chain"),
        (halves["wrong"], "halves has no edge 'wrong': it has out, odd, never"),
        (halves["never"], "edge 'never' of halves leads nowhere: join it before you tap it"),
    ):
        tap = pipeline.tap(edge, Sink())
        with pytest.raises(GraphError, match=words):
            pipeline.check()
        pipeline.untap(tap)
    with pytest.raises(GraphError, match="expected a stage, for its first edge"):
        pipeline.tap("out", Sink())
    with pytest.raises(GraphError, match="expected an app, a Tx queue, or a chain of them"):
        pipeline.tap(source, None)
    pipeline.tap(source, endless())
    with pytest.raises(GraphError, match="nothing can lead into frames"):
        pipeline.check()
    with pytest.raises(ConfigError, match="expected the name of a tap"):
        pipeline.tap(source, Sink(), name="")
    with pytest.raises(GraphError, match="is not set in pipeline"):
        pipeline.untap(tap)
    with start(Pipeline(endless() >> Sink())) as running:
        with pytest.raises(GraphError, match="is no stage of what runs here"):
            running.tap(source, Sink())
        with pytest.raises(GraphError, match="is not set in this run"):
            running.untap(tap)
    with pytest.raises(GraphError, match="is over: start the new pipelines"):
        running.tap(source, Sink())


def test_a_half_made_one_is_not_polled():
    class Unprepared(EdgeTap):
        def prepare(self):
            pass

    half = Unprepared()
    with pytest.raises(GraphError, match=r"tap has no mempool: call prepare\(\) first"):
        Pipeline(endless() >> half >> Sink(), half["copy"] >> Sink()).run(count=1)
    with pytest.raises(ConfigError, match="expected a Mempool"):
        EdgeTap(mempool="pool")


taps = st.lists(st.tuples(st.sampled_from(["set", "remove", "step"]), st.integers(0, 3)), max_size=12)


@settings(deadline=None, max_examples=40)
@given(taps, st.booleans())
def test_every_packet_is_accounted_for(actions, profile):
    source, halves, counter = endless(), Halves(), Counter()
    sink = probe("null:")
    pipeline = Pipeline(source >> halves >> counter >> sink.tx(0), halves["odd"] >> Sink())
    edges = [source, halves, halves["odd"], counter]
    pool, known = Mempool(256, name="few"), []
    with pipeline.stepper(profile=profile) as stepper:
        for action, place in actions:
            if action == "set":
                known.append(stepper.tap(edges[place], Hooked() >> Discard(), mempool=pool))
            elif action == "remove" and known:
                stepper.untap(known.pop(place % len(known)))
            stepper.step(2)
    report = stepper.report
    made = 64 * len(actions)
    assert report.balance.missing == 0 and report.ok and report.balance.generated == made
    assert report.ports["null:"]["tx_good_packets"] == report.balance.sent == made // 2
    assert report.balance.consumed == made // 2
    assert report.balance.copied == sum(report.drops.values())


def test_a_tap_on_an_edge_between_two_lcores():
    """The packets cross to the other lcore; the copies stay on the first."""
    source, counter, seen, behind = endless(), Counter(), Sink(), Sink()
    pipeline = Pipeline(source >> counter >> behind, lcores={counter: "second"}, full="wait")
    with pipeline.start() as running:
        wait_for(lambda: counter.packets > 100)
        for _ in range(10):
            tap = running.tap(source, seen)
            other = running.tap(counter, Sink(), name="other")
            wait_for(lambda tap=tap, other=other: tap.packets and other.packets)
            running.untap(tap)
            running.untap(other)
        report = running.stop()
    assert report.ok and report.balance.missing == 0
    generated = report.balance.generated
    lost = sum(count for name, count in report.drops.items() if not name.endswith("no_mbuf"))
    assert generated == behind.packets + lost
    assert all(name.split(".")[-1] in ("stopped", "no_mbuf") for name in report.drops), report.drops
