# SPDX-License-Identifier: BSD-3-Clause
"""Apps in Python: edges, drops, and that every packet is accounted for."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataplane import App, Collect, Field, Frames, Mempool, Pipeline, through
from dataplane.errors import AppError, BurstError, ConfigError, PcapError

NUMBER = Field("number", 0, 4)
POOL = Mempool(1024, hugepages="no", name="test-app")


def numbered(count):
    return [number.to_bytes(4, "big") + bytes(60) for number in range(count)]


class Sort(App):
    """Does with the n-th packet what plan[n] says: an edge 0..2, or 3 and 4: drop it by "odd", "late"."""

    edges = ("a", "b", "c")
    optional = ("c",)
    drops = ("odd", "late")

    def __init__(self, plan, kind="array"):
        self.plan = np.array(plan)
        self.kind = kind

    def process(self, burst):
        fate = self.plan[burst[NUMBER]]
        burst.drop(fate == 3, "odd")
        burst.drop(fate >= 3, "late")  # those that are dropped already keep their first reason
        edges = np.where(fate > 2, 0, fate)
        return edges.tolist() if self.kind == "list" else edges.astype(self.kind)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=300),
    st.integers(1, 256),
    st.sampled_from(["u1", "i2", "u4", "i8", "list"]),
)
def test_every_packet_leaves_once_or_is_dropped_once(plan, burst, kind):
    app, a, b = Sort(plan, kind), Collect(), Collect()
    source = Frames(numbered(len(plan)), burst=burst, pool=POOL)
    with Pipeline(source >> app, app["a"] >> a, app["b"] >> b).stepper() as stepper:
        stepper.finish()
    fates = Counter(plan)
    numbers = [[int.from_bytes(frame[:4], "big") for frame in sink.frames] for sink in (a, b)]
    assert numbers == [
        [n for n, fate in enumerate(plan) if fate == edge] for edge in (0, 1)
    ]  # in their order
    assert app.edge_counts["a"][:2] == (fates[0], 64 * fates[0])
    assert app.edge_counts["b"][:2] == (fates[1], 64 * fates[1])
    assert app.edge_counts["c"] == (0, 0, 0)
    dropped = {"unconnected": fates[2], "odd": fates[3], "late": fates[4]}
    assert app.drop_counts == {name: count for name, count in dropped.items() if count}
    assert POOL.in_use == 0


class Answer(App):
    edges = ("no", "yes")

    def __init__(self, answer):
        self.answer = answer

    def process(self, burst):
        return self.answer(burst) if callable(self.answer) else self.answer


@pytest.mark.parametrize(
    ("answer", "yes"),
    [
        (None, []),
        (0, []),
        (1, [0, 1, 2, 3]),
        (True, [0, 1, 2, 3]),
        (np.int64(1), [0, 1, 2, 3]),
        ([0, 1, 1, 0], [1, 2]),
        ((True, False, False, True), [0, 3]),
        (np.array([False, True, False, True]), [1, 3]),
        (lambda burst: burst[NUMBER] > 2, [3]),
        (lambda burst: [packet[NUMBER] == 1 for packet in burst], [1]),
    ],
)
def test_what_process_may_return(answer, yes):
    left = through(Answer(answer), numbered(4))
    assert left["yes"] == [numbered(4)[n] for n in yes]
    assert left["no"] == [frame for n, frame in enumerate(numbered(4)) if n not in yes]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (2, "process.. sends packet 0 to edge 2: it has edges 0..1"),
        (-1, "to edge -1"),
        ([0, 1, 5, 0], "sends packet 2 to edge 5"),
        ([0, 1], r"shape \(2,\) for a burst of 4 packets"),
        (1.0, "float64 values"),
        ("yes", "values: whole numbers"),
        (np.zeros((4, 1), bool), r"shape \(4, 1\)"),
    ],
)
def test_what_process_may_not_return(answer, message):
    with pytest.raises(BurstError, match=message):
        through(app := Answer(answer), numbered(4))
    assert app.drop_counts == {"error": 4}


def test_a_sink_must_drop():
    class Leaky(App):
        edges = ()
        drops = ("some",)

        def process(self, burst):
            burst.drop([True, False], "some")

    with pytest.raises(BurstError, match="sends packet 1 to edge 0: it has none, so drop"):
        through(Leaky(), numbered(2))


def test_errors_of_our_own_kind_stay_what_they_are():
    class Full(App):
        def process(self, burst):
            raise PcapError("disk full: make room")

    with pytest.raises(PcapError, match="disk full") as caught:
        through(Full(), numbered(1))
    assert "full" in caught.value.__notes__[0]


def test_init_of_a_subclass_need_not_call_super():
    class Bare(App):
        def __init__(self, colour, *, size=3):
            self.colour = colour

        def process(self, burst):
            pass

    app = Bare("red", size=4)
    assert (app.name, app.colour, repr(app)) == ("bare", "red", "bare")
    app.name = "other"
    assert through(app, numbered(1))["out"] == numbered(1)
    assert repr(app) == "other"


def test_a_burst_is_usable_again_after_an_error():
    class Once(App):
        failed = False

        def process(self, burst):
            if not self.failed:
                self.failed = True
                raise ValueError(f"with {burst[NUMBER]} in hand")

    app = Once()
    with pytest.raises(AppError, match="with"):
        through(app, numbered(3))
    assert through(app, numbered(3))["out"] == numbered(3)
    assert app.drop_counts == {}


def test_counts_of_a_run_start_at_zero():
    app = Answer([0, 1])
    for _ in range(2):
        through(app, numbered(2))
        assert app.edge_counts == {"no": (1, 64, 1), "yes": (1, 64, 1)}


@pytest.mark.parametrize("frames", [[], [b""], [bytes(3000)], [b"x"] * 1025])
def test_frames_that_cannot_be(frames):
    with pytest.raises(ConfigError):
        Frames(frames)


def test_frames_wait_for_mbufs():
    """A pool that is empty makes the source wait; when mbufs come back it goes on."""
    pool = Mempool(64, hugepages="no")
    taken = pool.take(64)
    source = Frames(numbered(10), pool=pool)
    sink = Collect()
    with Pipeline(source >> sink).stepper() as stepper:
        assert stepper.step(5) == 0
        pool.give(taken)
        stepper.finish()
    assert sink.frames == numbered(10)
    assert pool.alloc_failures == 5
