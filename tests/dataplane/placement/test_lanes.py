# SPDX-License-Identifier: BSD-3-Clause
"""One pipeline on several lcores: a lane on each, with queues of its own and clones of the apps."""

from __future__ import annotations

import time

import pytest

from dataplane import App, Collect, Frames, Native, Pipeline, probe, run, start
from dataplane.apps import Counter, L2Fwd, MacSwap, PcapDump, Reflect, Sink, Tee
from dataplane.apps.trial import Trial
from dataplane.errors import AppError, ConfigError, GraphError, PortError

WAIT = 20
TWO = (None, None)


def wait_for(holds):
    deadline = time.monotonic() + WAIT
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_each_lane_has_queues_of_its_own_and_clones():
    left, right = probe("null:"), probe("null:")
    forward = L2Fwd(dst="02:00:00:00:00:01")
    pipeline = Pipeline(left.rx(0) >> forward >> Counter() >> right.tx(0), name="lanes")
    report = pipeline.run(lcores=TWO, seconds=0.2)
    sent, got = right.xstats(), left.xstats()
    assert report.app == "lanes" and report.ok and report is pipeline.report
    for n in range(2):
        assert got[f"rx_q{n}_packets"] == sent[f"tx_q{n}_packets"] > 0
    assert report.balance.sent == report.packets == sent["tx_good_packets"]
    assert {"l2fwd.out", "l2fwd-2.out", "counter.out", "counter-2.out"} <= set(report.edges)
    assert report.edges["l2fwd.out"].packets == sent["tx_q0_packets"]


def test_a_lane_goes_both_ways_where_the_pipeline_does():
    left, right = probe("null:"), probe("null:")
    pipeline = Pipeline(left.rx(0) >> L2Fwd() >> right.tx(0), right.rx(0) >> L2Fwd() >> left.tx(0))
    report = run(pipeline, lcores=TWO, seconds=0.1)
    assert report.balance.sent == report.packets
    assert all(port.xstats()[f"tx_q{n}_packets"] > 0 for port in (left, right) for n in range(2))


def test_queues_of_a_port_in_several_chains_are_kept_apart():
    left, right = probe("null:"), probe("null:")
    sink = Sink()
    pipeline = Pipeline(left.rx(0) >> sink, left.rx(1) >> right.tx(0))
    pipeline.run(lcores=TWO, seconds=0.1)
    assert left.rx_queues == 4 and right.tx_queues == 2


def test_describing_touches_nothing_and_neither_does_a_refusal(tmp_path):
    left, right = probe("null:"), probe("null:")
    pipeline = Pipeline(left.rx(0) >> PcapDump(tmp_path / "x.pcap") >> right.tx(0))
    with pytest.raises(
        GraphError, match=r"has no clone\(\), so it has no lanes: define clone\(self\) in PcapDump"
    ):
        pipeline.run(lcores=TWO)
    assert left.rx_queues == right.tx_queues == 1 and not left.started


def test_more_lcores_than_lanes_are_an_error():
    ring, sink = probe("ring:lanes"), probe("null:")
    pipeline = Pipeline(ring.rx(0) >> Counter() >> sink.tx(0), name="short")
    with pytest.raises(
        GraphError,
        match=r"short cannot run on 2 lcores: ring:lanes has 1 Rx queue, enough for 1 lane; give it 1",
    ):
        pipeline.run(lcores=TWO)
    others = [Pipeline(Frames([bytes(60)]) >> Sink()) for _ in range(2)]
    with pytest.raises(GraphError, match="2 pipelines for a run on 3 lcores"):
        run(*others, lcores=(None,) * 3)
    with pytest.raises(GraphError, match=r"frames has no clone\(\)"):
        run(others[0], lcores=TWO)


def test_a_pipeline_that_places_its_stages_has_no_lanes():
    port, sink = probe("null:"), Sink()
    with pytest.raises(GraphError, match="places its stages on lcores, and would run on 2 more"):
        Pipeline(port.rx(0) >> sink, lcores={sink: "b"}).run(lcores=TWO)
    with pytest.raises(ConfigError, match="give one of them"):
        Pipeline(port.rx(0) >> sink).run(0, lcores=TWO)


class Same(App):
    def process(self, burst):
        pass

    def clone(self):
        return self


class Broken(Same):
    def clone(self):
        raise OverflowError("enough")


@pytest.mark.parametrize(
    ("app", "error", "message"),
    [
        (Same(), GraphError, r"same.clone\(\) returned same: expected another Same"),
        (Broken(), AppError, r"broken: clone\(\) raised OverflowError: enough"),
    ],
)
def test_a_clone_must_be_another_of_its_class(app, error, message):
    with pytest.raises(error, match=message):
        Pipeline(probe("null:").rx(0) >> app >> Sink()).run(lcores=TWO)


def test_queues_of_lanes_that_are_no_longer_polled_are_refused():
    """RSS would go on filling them."""
    port, sink = probe("null:"), Sink()
    pipeline = Pipeline(port.rx(0) >> sink)
    pipeline.run(lcores=TWO, seconds=0.05)
    with pytest.raises(
        GraphError, match="null: has 2 Rx queues from a run on more lcores, and 1 would be polled"
    ):
        pipeline.run(seconds=0.05)
    pipeline.run(lcores=TWO, seconds=0.05)


def test_lanes_are_replaced_and_apps_keep_their_clones():
    port, out, counter = probe("null:"), probe("null:"), Counter()
    with Pipeline(port.rx(0) >> counter >> out.tx(0)).start(lcores=TWO) as running:
        wait_for(
            lambda: running.read()[0].get("counter-2.out") and running.read()[0]["counter-2.out"].packets > 0
        )
        running.replace(Pipeline(port.rx(0) >> counter >> L2Fwd() >> out.tx(0), name="second"))
        wait_for(lambda: all(running.read()[0][f"{name}.out"].packets > 0 for name in ("l2fwd", "l2fwd-2")))
        with pytest.raises(PortError, match="is running without Rx queue"):
            running.replace(Pipeline(port.rx(0) >> counter >> out.tx(0), port.rx(1) >> Sink()))
        report = running.stop()
    assert report.ok and report.balance.missing == 0 and report.app == "second"
    assert {"counter.out", "counter-2.out"} <= set(report.edges) and "counter-3.out" not in report.edges


def test_lanes_on_a_card_share_what_it_receives():
    """RSS of the model: two flows, a lane each."""
    with probe("model0") as sender, probe("model1") as receiver:
        sender.rx(0)
        receiver.promiscuous = True
        frames = [bytes(12) + b"\x08\x00" + _udp(port) for port in range(64)]
        sinks = Collect()
        with (
            Pipeline(receiver.rx(0) >> sinks).start(lcores=TWO) as running,
            start(Pipeline(Frames(frames) >> sender.tx(0), lossless=True)) as sending,
        ):
            sending.join(WAIT)
            wait_for(lambda: len(sinks.frames) == len(frames))
            report = running.stop()
        assert sorted(sinks.frames) == sorted(frames)
        assert report.consumed["collect.kept"] > 0 and report.consumed["collect-2.kept"] > 0


def _udp(port):
    header = bytes.fromhex("4500 0020 0000 0000 4011 0000 0a000001 0a000002".replace(" ", ""))
    return header + (1000 + port).to_bytes(2, "big") + bytes.fromhex("0035000c0000") + bytes(18)


@pytest.mark.parametrize(
    "app",
    [
        L2Fwd(src="02:00:00:00:00:01"),
        Counter(),
        MacSwap(),
        Reflect(simd=False),
        Tee(2),
        Native(lambda data, length: 0),
    ],
)
def test_a_clone_does_what_the_app_does(app):
    frame = bytes(range(60))
    found = []
    for each in (app, app.clone()):
        with Trial(each) as trial:
            trial.push([frame])
            found.append((trial.out, trial.drops, each.edges))
    assert found[0] == found[1]
