# SPDX-License-Identifier: BSD-3-Clause
"""Graphs: what is refused, with which words; that describing and refusing touch nothing; the picture."""

from __future__ import annotations

import pytest

from dataplane import App, Collect, Frames, Pipeline, Source
from dataplane.errors import GraphError
from dataplane.pmd import probe


class Pass(App):
    def process(self, burst):
        pass


class Guard(App):
    edges = ("out", "expired")

    def process(self, burst):
        return [number % 2 for number in range(len(burst))]


class Lax(Guard):
    optional = ("expired",)


class Idle(App):
    pass


class Wrong(Frames):
    """A compiled source: its Python would never be asked."""

    def process(self, burst):
        pass


def shaped(**attributes):
    return type("Shaped", (Pass,), attributes)()


def frames(**options):
    return Frames([bytes(64)], **options)


def graphs():
    """(chains, words of the error) for each mistake."""
    a, b, guard, sink, source = Pass(), Pass(), Guard(), Collect(), frames()
    null = probe("null:")
    rx, tx = null.rx(0), null.tx(0)
    return {
        "empty": ([], "is empty: give it a chain"),
        "no chain": ([3], "3 is a int: a chain such as a >> b is needed"),
        "an open edge": ([guard["expired"]], "leads nowhere: join it with >>"),
        "an open tail": ([(source >> guard)["expired"]], "leads nowhere: join it with >>"),
        "no source": ([a >> tx], "pipeline has no source: begin a chain with port.rx"),
        "into an Rx queue": ([source >> rx], "nothing can lead into null:.rx.0., it is where packets arrive"),
        "into a source": ([rx >> source], "nothing can lead into frames, it makes packets by itself"),
        "out of a Tx queue": ([rx >> tx >> sink], "null:.tx.0. has no edges, it ends a chain"),
        "out of a sink": ([rx >> sink >> tx], "collect has no edges"),
        "unknown edge": (
            [rx >> guard, guard["expird"] >> sink],
            "guard has no edge 'expird': it has out, expired",
        ),
        "unconnected": (
            [rx >> guard >> tx],
            r"edge 'expired' of guard leads nowhere: write guard\['expired'\] >> ...",
        ),
        "unconnected queue": ([rx], r"edge 'out' of null:.rx\(0\) leads nowhere"),
        "joined twice": (
            [rx >> a >> tx, a >> sink],
            "edge 'out' of a is joined twice, to null:.tx.0. and to collect",
        ),
        "the same twice": ([rx >> a >> tx, rx >> a], "edge 'out' of null:.rx.0. is joined twice"),
        "unreached": ([rx >> tx, a >> sink], "nothing leads into a: join an edge to it"),
        "cycle": ([rx >> a, a >> b, b >> a], "a cycle: a >> b >> a"),
        "itself": ([rx >> a, a >> a], "a cycle: a >> a"),
        "does nothing": ([rx >> Idle() >> tx], "Idle does nothing with packets: it needs process"),
        "abstract source": ([Source() >> tx], "Source does nothing with packets: it needs a compiled poll"),
        "process of a compiled app": (
            [Wrong([b"x"]) >> tx],
            r"Wrong.process\(\) would never be called: Frames",
        ),
        "edges no tuple": (
            [rx >> shaped(edges="out") >> tx],
            "Shaped.edges is 'out': a tuple of names is needed",
        ),
        "edges not text": ([rx >> shaped(edges=(1,)) >> tx], "a tuple of names is needed"),
        "edges twice": ([rx >> shaped(edges=("x", "x")) >> tx], "must be at most 16 different names"),
        "many edges": (
            [rx >> shaped(edges=tuple("abcdefghijklmnopq")) >> tx],
            "must be at most 16 different names",
        ),
        "many drops": (
            [rx >> shaped(drops=tuple("abcdefghijklmno")) >> tx],
            "must be at most 14 different names",
        ),
        "optional unknown": (
            [rx >> shaped(optional=("x",)) >> tx],
            "Shaped.optional names x: Shaped.edges does not",
        ),
        "burst of zero": ([frames(burst=0) >> tx], "frames.burst is 0: must be 1 to 256"),
        "burst too large": ([frames(burst=257) >> tx], "frames.burst is 257: must be 1 to 256"),
    }


@pytest.fixture(autouse=True)
def names(monkeypatch):
    """Give apps of the same class different names."""
    count = iter("ab" * 20)
    monkeypatch.setattr(Pass, "__init__", lambda self, *a, **k: setattr(self, "name", next(count)))


@pytest.mark.parametrize("mistake", graphs())
def test_mistakes(mistake):
    chains, words = graphs()[mistake]
    pipeline = Pipeline(*chains)
    for attempt in (
        pipeline.check,
        pipeline.run,
        pipeline.start,
        pipeline.explain,
        pipeline.stepper().__enter__,
    ):
        with pytest.raises(GraphError, match=words):
            attempt()


def test_refusing_touches_nothing():
    null = probe("null:")
    guard = Guard()
    with pytest.raises(GraphError):
        Pipeline(null.rx(0) >> guard >> null.tx(0)).run()
    assert not null.started
    fixed = Pipeline(null.rx(0) >> guard >> null.tx(0), guard["expired"] >> null.tx(0))
    fixed.check()
    assert not null.started and fixed.run(count=32).packets == 32


def test_chains_may_meet():
    first, second, middle, sink = frames(repeat=3), frames(repeat=4), Pass(), Collect()
    report = Pipeline(first >> middle >> sink, second >> middle).run()
    assert len(sink.frames) == 7
    assert {name: count.packets for name, count in report.edges.items()} == {
        "frames.out": 3,
        "frames-2.out": 4,
        "a.out": 7,
    }


def test_optional_edges_count_what_they_lose():
    app, sink = Lax(), Collect()
    report = Pipeline(frames(repeat=10) >> app >> sink).run()
    assert report.drops == {"lax.unconnected": 5} and report.consumed == {"collect.kept": 5}


def test_the_picture():
    guard, sink = Lax(), Collect()
    guard.name = "ttlguard"
    null = probe("null:")
    pipeline = Pipeline(frames(repeat=64) >> guard >> null.tx(0), guard["expired"] >> sink, name="example")
    assert pipeline.explain() == "\n".join(
        [
            "example",
            "frames [nogil]",
            "└─ out →",
            "   ttlguard [GIL]",
            "   ├─ out →",
            "   │  null:.tx(0) [nogil]",
            "   └─ expired →",
            "      collect [GIL]",
        ]
    )
    pipeline.run()
    text = pipeline.explain()
    assert "└─ out → 64 packets, 4,096 bytes, 32.0 a burst" in text
    assert "├─ out → 32 packets, 2,048 bytes, 16.0 a burst" in text
    assert "consumed, kept: 32" in text


def test_the_picture_draws_a_meeting_once():
    middle, sink = Pass(), Collect()
    text = Pipeline(frames() >> middle >> sink, frames() >> middle).explain()
    assert text.count("collect") == 1
    assert "a [GIL], as above" in text


def test_the_picture_shows_open_edges():
    assert "expired → nothing" in Pipeline(frames() >> Lax() >> Collect()).explain()


def test_python_is_warned_of_once(caplog):
    class Loud(App):
        def process(self, burst):
            pass

    for _ in range(2):
        Pipeline(frames() >> Loud() >> Collect()).run()
    assert [record.getMessage() for record in caplog.records if "loud" in record.getMessage()] == [
        "loud runs Python for each burst: other busy threads of Python stall its lcore by 5 ms"
    ]
