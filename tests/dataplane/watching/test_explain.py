# SPDX-License-Identifier: BSD-3-Clause
"""Pictures of pipelines: rates, lcores and costs; and the SVG: nothing lies over anything else, every text is in its box."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stages import Hooked

from dataplane import App, Collect, Frames, Pipeline, start
from dataplane.apps import Counter, Sink
from dataplane.errors import ConfigError
from dataplane.explain.picture import Arrow, Box, Picture
from dataplane.explain.svg import svg
from dataplane.explain.text import text
from dataplane.pmd import probe
from dataplane.reports.figures import packet_rate
from dataplane.reports.stats import Cost, Count

SVG = "{http://www.w3.org/2000/svg}"
EVIL = '<script>alert("1")</script> & \x00\x1b ]]> \ud800 '


def number(element, name):
    return float(element.get(name))


def frame(rect):
    x, y = number(rect, "x"), number(rect, "y")
    return x, y, x + number(rect, "width"), y + number(rect, "height")


def check(document):
    """Parse a picture, and look at where everything is. Returns its root."""
    document.encode()
    root = ElementTree.fromstring(document)
    assert {each.tag.removeprefix(SVG) for each in root.iter()} <= {
        "svg", "defs", "marker", "path", "rect", "text", "title",
    }  # fmt: skip
    page = (0.0, 0.0, number(root, "width"), number(root, "height"))
    panels = [each for each in root if each.get("class") in ("stage", "label")]
    frames = [frame(each) for each in panels]
    for place, one in enumerate(frames):
        assert inside(one, page)
        for other in frames[:place]:
            assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
    holder = None
    for each in root:
        if each.tag == SVG + "rect":
            holder = frame(each) if each.get("class") else page
        elif each.tag == SVG + "text":
            x, y = number(each, "x"), number(each, "y")
            written = (x, y - 12, x + number(each, "textLength"), y + 3)
            assert inside(written, holder if y <= (holder or page)[3] else page)
    bands = [frame(each) for each in root if each.get("class") == "lcore"]
    for one in frames if bands else ():
        assert sum(inside(one, band) for band in bands) == 1
    ends = [
        re.findall(r"-?[\d.]+", each.get("d"))
        for each in root
        if (each.get("class") or "").startswith("edge")
    ]
    for numbers in ends:
        first, last = (float(numbers[0]), float(numbers[1])), (float(numbers[-2]), float(numbers[-1]))
        assert any(abs(first[0] - each[2]) < 0.2 and each[1] <= first[1] <= each[3] for each in frames)
        assert any(abs(last[0] - each[0]) < 0.2 and each[1] <= last[1] <= each[3] for each in frames)
    return root


def inside(one, other):
    return other[0] <= one[0] and other[1] <= one[1] and one[2] <= other[2] + 0.1 and one[3] <= other[3] + 0.1


def texts(root):
    return [each.text or each[0].tail for each in root.iter(SVG + "text")]


names = st.one_of(st.sampled_from(["l2fwd", "rx", EVIL, "寿司" * 30, "x" * 200]), st.text(max_size=20))


@st.composite
def pictures(draw):
    """A graph without cycles on some lcores, with any names; edges that lead nowhere, and hand-offs."""
    size = draw(st.integers(1, 12))
    lcores = draw(st.lists(names.filter(bool), max_size=3, unique=True)) or [""]
    boxes, arrows = [], []
    for at in range(size):
        boxes.append(
            Box(
                name=draw(names),
                kind=draw(st.sampled_from(["rx", "tx", "source", "app"])),
                gil=draw(st.booleans()),
                ends=False,
                lcore=draw(st.sampled_from(lcores)),
                cost=draw(st.sampled_from([None, Cost(1.5, 320, 10), Cost(123456.7, 1, 1)])),
                dropped=draw(st.dictionaries(names, st.integers(0, 10**12), max_size=3)),
                consumed=draw(st.dictionaries(names, st.integers(0, 10**12), max_size=1)),
            )
        )
        for _ in range(draw(st.integers(0, 4))):
            target = draw(st.one_of(st.none(), st.integers(at + 1, size - 1) if at + 1 < size else st.none()))
            count = draw(st.sampled_from([Count(), Count(10**12, 10**15, 10**10)]))
            kind = draw(st.sampled_from(["direct", "ring"]))
            arrows.append(
                Arrow(
                    at, draw(names), target, kind, count, draw(st.sampled_from(["", "0 pps", "14.88 Mpps"]))
                )
            )
    return Picture(draw(names), tuple(boxes), tuple(arrows), tuple(draw(st.lists(names, max_size=2))))


@settings(deadline=None, max_examples=300)
@given(pictures())
def test_nothing_lies_over_anything_else(picture):
    root = check(svg(picture))
    assert len([each for each in root if each.get("class") == "stage"]) == len(picture.boxes)
    assert len([each for each in root if each.get("class") == "label"]) == len(picture.arrows)
    text(picture)  # draws the same things


def test_two_lanes_that_hand_over_to_each_other():
    """Edges between lcores may close a cycle, as a ring stands between."""
    boxes = [
        Box(name, "app", False, False, lane, None, {}, {}) for name, lane in (("a", "one"), ("b", "two"))
    ]
    arrows = [Arrow(0, "out", 1, "ring", Count(), ""), Arrow(1, "out", 0, "ring", Count(), "")]
    root = check(svg(Picture("cycle", tuple(boxes), tuple(arrows), ())))
    assert len([each for each in root if each.get("class") == "lcore"]) == 2


def test_a_hand_off_is_drawn_unlike_a_call():
    boxes = tuple(Box(name, "app", False, False, name, None, {}, {}) for name in ("one", "two"))
    picture = Picture("p", boxes, (Arrow(0, "out", 1, "ring", Count(), ""),), ())
    (way,) = [each for each in check(svg(picture)) if each.get("class") == "edge ring"]
    assert way.get("stroke-dasharray")
    assert "out (ring)" in texts(check(svg(picture)))
    boxes = (Box("one", "source", False, False, "lcore 1", None, {}, {}), boxes[1])
    assert text(Picture("p", boxes, picture.arrows, ())).splitlines() == [
        "p",
        "one [nogil] on lcore 1",
        "└─ out, by a ring →",
        "   two [nogil] on two",
    ]


def test_the_picture_of_a_run():
    """As text and as SVG: lcores, GIL, rates, drops, costs."""

    class Half(App):
        edges = ("out", "rest")
        drops = ("first",)

        def process(self, burst):
            burst.drop([at == 0 for at in range(len(burst))], "first")
            return [at % 2 for at in range(len(burst))]

    half = Half()
    pipeline = Pipeline(
        Frames([bytes(60)], repeat=64_000) >> half >> Counter() >> Sink(), half["rest"] >> Collect()
    )
    described = pipeline.explain()
    assert "pps" not in described and "lcore" not in described
    report = pipeline.run(profile=True)
    shown = pipeline.explain()
    rate = packet_rate(64_000, report.seconds)
    assert f"out → 64,000 packets, 3,840,000 bytes, 32.0 a burst, {rate}" in shown
    assert "frames [nogil] on an unpinned lcore " in shown and shown.count("lcore") == 1
    found = texts(check(pipeline.explain("svg")))
    for words in (
        "pipeline",
        "an unpinned lcore",
        "half",
        "[GIL]",
        "dropped, first: 2,000",
        rate,
        "64,000 packets",
    ):
        assert words in found, words
    assert f"{report.profile['counter'].cycles:.1f} cycles/packet" in found


def test_a_run_is_drawn_while_it_goes_on():
    first = Pipeline(Frames([bytes(60)], repeat=None) >> Counter() >> Sink(), name="first")
    second = Pipeline(Frames([bytes(60)], repeat=None) >> Counter() >> Sink(), name="second")
    with start(first, second, lcores=(None, None)) as running:
        while running.packets < 10_000:
            running.wait(0.01)
        shown = running.explain()
        drawn = texts(check(running.explain("svg")))
        assert first.report is None
    assert shown.splitlines()[0] == "first + second"
    assert "on unpinned lcore 1" in shown and "on unpinned lcore 2" in shown and "pps" in shown
    assert {"unpinned lcore 1", "unpinned lcore 2", "counter-2"} <= set(drawn)


def test_names_are_escaped():
    pipeline = Pipeline(Frames([bytes(60)]) >> Hooked(name=EVIL) >> probe("null:").tx(0), name=EVIL)
    document = pipeline.explain("svg")
    check(document)
    assert "<script" not in document and "&lt;script&gt;" in document


def test_another_format_is_refused():
    with pytest.raises(ConfigError, match="format='png': must be one of 'text', 'svg'"):
        Pipeline(Frames([bytes(60)]) >> Sink()).explain("png")
