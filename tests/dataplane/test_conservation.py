# SPDX-License-Identifier: BSD-3-Clause
"""What goes in comes out or is dropped by name: in graphs of any shape, and when a run is stopped under load."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataplane import App, Collect, Field, Frames, Mempool, Pipeline, run
from dataplane.errors import AppError
from dataplane.pmd import probe
from dataplane.reports.stats import Balance

NUMBER = Field("number", 0, 4)
POOL = Mempool(1024, hugepages="no", name="test-conservation")
FRAMES = [number.to_bytes(4, "big") + bytes(60) for number in range(200)]


class Scatter(App):
    """Sends the n-th packet by edge (n + turn) % 5, of which 3 may be open, and drops those of 4."""

    edges = ("a", "b", "c", "d")
    optional = ("a", "b", "c", "d")
    drops = ("fifth",)

    def __init__(self, turn, fails_after=None):
        self.turn = turn
        self.left = fails_after

    def process(self, burst):
        if self.left is not None:
            self.left -= len(burst)
            if self.left < 0:
                raise OverflowError("enough")
        fate = (burst[NUMBER] + self.turn) % 5
        burst.drop(fate == 4, "fifth")
        return np.minimum(fate, 3)


@st.composite
def graphs(draw):
    """(chains, Tx ports): up to six apps, each joined to later ones or to sinks, over edges in any number."""
    apps = [
        Scatter(draw(st.integers(0, 4)), draw(st.one_of(st.none(), st.integers(0, 400))))
        for _ in range(draw(st.integers(1, 6)))
    ]
    chains = [
        Frames(FRAMES, repeat=draw(st.integers(1, 5)), burst=draw(st.integers(1, 256)), pool=POOL) >> apps[0]
    ]
    sink, port = Collect(), probe("null:")
    for place, app in enumerate(apps):
        later = apps[place + 1 :]
        # The next app is always reached; any other edge leads forward, to a sink, to a queue, or nowhere.
        targets = [later[0]] if later else [sink]
        targets += draw(st.lists(st.sampled_from([*later, sink, port.tx(0), None]), max_size=3))
        edges = draw(st.permutations(Scatter.edges))
        chains += [
            app[edge] >> target for edge, target in zip(edges, targets, strict=False) if target is not None
        ]
    return chains, port


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_in_equals_out_and_drops(drawn):
    chains, port = drawn
    pipeline = Pipeline(*chains)
    try:
        with pipeline.stepper() as stepper:
            stepper.finish()
    except AppError as error:
        assert "enough" in str(error)
    report = pipeline.report
    balance = report.balance
    assert balance.missing == 0 == balance.received + balance.copied + balance.held
    assert (balance.dropped, balance.consumed) == (report.dropped, sum(report.consumed.values()))
    assert report.packets == balance.generated == report.dropped + balance.consumed + balance.sent
    assert balance.sent == port.xstats()["tx_good_packets"]
    # Each app's own account: what its edges brought in is what left it and what it dropped.
    graph = pipeline.graph
    for app in graph.apps:
        into = [link for link in graph.links if link.to is app]
        arrived = sum(link.app.edge_counts[link.edge][0] for link in into)
        left = sum(count[0] for count in app.edge_counts.values())
        if into and app.edges:
            assert arrived == left + sum(app.drop_counts.values())
    assert POOL.in_use == 0


class Pass(App):
    def process(self, burst):
        pass


@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize("python", [False, True])
def test_a_stop_under_load_accounts_for_everything(lossless, python):
    source, middle, sink = (
        probe("null:"),
        probe(f"ring:test-load-{lossless}-{python},slots=256"),
        probe("null:"),
    )
    first = source.rx(0) >> Pass() >> middle.tx(0) if python else source.rx(0) >> middle.tx(0)
    report = run(
        Pipeline(first, lossless=lossless),
        Pipeline(middle.rx(0) >> sink.tx(0)),
        lcores=[None, None],
        seconds=0.1,
    )
    sent, ring, got = source.xstats(), middle.xstats(), sink.xstats()
    assert sent["rx_good_packets"] == ring["tx_good_packets"] + report.dropped
    assert ring["tx_good_packets"] == ring["rx_good_packets"] + ring["rx_missed_errors"]
    assert ring["rx_good_packets"] == got["tx_good_packets"] > 0
    if lossless:
        assert report.dropped <= 32
    assert source.mempool.in_use == 0


def test_many_pipelines_on_few_cores():
    """Sixteen lcores, most of them idle most of the time, share whatever cores there are."""
    hops = [probe(f"ring:test-hop{n},slots=64") for n in range(16)]
    sink = Collect()
    pipelines = [Pipeline(a.rx(0) >> b.tx(0), lossless=True) for a, b in itertools.pairwise(hops)]
    source = Pipeline(Frames(FRAMES) >> hops[0].tx(0), lossless=True)
    report = run(
        source,
        *pipelines,
        Pipeline(hops[-1].rx(0) >> sink),
        lcores=[None] * 17,
        seconds=20,
        until=lambda: len(sink.frames) >= len(FRAMES),
    )
    assert sink.frames == FRAMES
    assert report.drops == {} and report.consumed == {"collect.kept": len(FRAMES)}
    assert report.balance == Balance(
        generated=len(FRAMES), received=16 * len(FRAMES), sent=16 * len(FRAMES), consumed=len(FRAMES)
    )
