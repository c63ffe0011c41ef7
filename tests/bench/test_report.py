# SPDX-License-Identifier: BSD-3-Clause
"""Rows: medians, goals, and what the table and the file say of them."""

from __future__ import annotations

import io
import json
import re

import pytest

from bench.plot import compared as bars
from bench.report import compared, markdown, measured, save, show

PAIRS = [(4.0, 10.0), (5.0, 8.0), (9.0, 12.0)]


def test_a_row_quotes_the_median_and_half_the_range():
    row = measured("a", "cycles", [3.0, 1.0, 2.0])
    assert (row.value, row.spread, row.goal, row.met) == (2.0, 0.5, None, True)


@pytest.mark.parametrize(
    ("goal", "met"),
    [
        ({"at_most": 2.0}, True),
        ({"at_most": 1.9}, False),
        ({"at_least": 2.0}, True),
        ({"at_least": 2.1}, False),
    ],
)
def test_a_goal_of_its_own(goal, met):
    row = measured("a", "b", [2.0], **goal)
    assert (row.met, row.goal) == (met, *goal.values())
    assert row.better == ("less" if "at_most" in goal else "more")


def test_a_goal_is_so_many_times_the_peers_figure():
    row = compared("a", "cycles", PAIRS, "the peer", at_most=0.4)
    assert (row.value, row.peer_value, row.ratio, row.goal, row.met) == (5.0, 10.0, 0.5, 4.0, False)
    assert compared("a", "cycles", PAIRS, "the peer", at_most=0.5).met
    assert compared("a", "cycles", PAIRS, "the peer").goal is None


def test_a_floor_holds_however_slow_the_peer_is():
    assert compared("a", "Mpps", PAIRS, "the peer", at_least=0.4, floor=6.0).goal == 6.0
    assert compared("a", "Mpps", PAIRS, "the peer", at_least=0.4, floor=6.0).met is False
    assert compared("a", "Mpps", PAIRS, "the peer", at_least=0.5, floor=1.0).met is True


def test_the_table_names_what_is_missed_and_by_how_much():
    said = io.StringIO()
    show([compared("fast", "c", PAIRS, "p", at_most=1.0), measured("slow", "c", [3.0], at_most=2.0)], said)
    assert "1 of 2 goals met; missed, by so much of the goal: slow (50%)" in said.getvalue()
    assert re.search(r"slow .* 3\.00 .* 2\.00 .*MISSED", said.getvalue())


def test_the_file_has_goal_and_met_of_each_row(tmp_path):
    rows = [compared("fast", "c", PAIRS, "p", at_most=1.0), measured("plain", "c", [3.0])]
    save(rows, tmp_path / "latest.json")
    read = json.loads((tmp_path / "latest.json").read_text())
    assert [(row["name"], row["goal"], row["met"]) for row in read] == [
        ("fast", 10.0, True),
        ("plain", None, True),
    ]
    assert [label for label, _, _ in bars(read)] == ["fast\np"]


def test_the_table_for_documents_has_what_is_judged_or_compared():
    rows = [compared("fast", "c", PAIRS, "p", at_most=0.4), measured("plain", "c", [3.0])]
    lines = markdown(rows).splitlines()
    assert lines[2:] == ["| fast | c | 5.00 | 50% | p | 10.00 | 20% | 0.50 | 4.00, **missed by 25%** |"]
