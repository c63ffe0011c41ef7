# SPDX-License-Identifier: BSD-3-Clause
"""Rows: medians, ratios, goals, and what the table and the file say of them."""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import bench.__main__ as bench_main
from bench.__main__ import again, joined
from bench.goals import MARGIN, RECORDED, ZEN5, Goal, GoalRecord, goal_of
from bench.plot import compared as bars
from bench.report import compared, load, markdown, measured, merged, save, show, summary
from dataplane.errors import FileError

ROOT = Path(__file__).parents[2]


def pairs(ratio: float, spread: float = 0.0) -> list[tuple[float, float]]:
    """Nine, whose ratio is known to about so much."""
    return [(10 * ratio * (1 + spread * each), 10.0) for each in (-1, -1, -0.5, 0, 0, 0, 0.5, 1, 1)]


def test_a_row_quotes_the_median_and_half_the_range():
    row = measured("a", "cycles", [3.0, 1.0, 2.0])
    assert (row.value, row.spread, row.goal, row.verdict) == (2.0, 0.5, None, "")


@pytest.mark.parametrize(
    ("ratio", "spread", "more", "verdict"),
    [
        (0.50, 0.00, False, "met"),
        (0.48, 0.01, False, "met"),
        (0.52, 0.01, False, "missed"),
        (0.52, 0.10, False, "not judged"),
        (0.48, 0.10, False, "not judged"),
        (0.30, 0.10, False, "met"),
        (0.80, 0.10, False, "missed"),
        (0.52, 0.01, True, "met"),
        (0.48, 0.01, True, "missed"),
        (0.48, 0.10, True, "not judged"),
    ],
)
def test_a_row_is_judged_by_its_ratio_as_far_as_that_is_known(ratio, spread, more, verdict):
    row = compared("a", "c", pairs(ratio, spread), "p", Goal(0.5), more=more)
    assert (row.verdict, row.goal, row.ratio) == (verdict, 0.5, pytest.approx(ratio))
    assert (row.why != "") == (verdict == "not judged")


def test_a_slow_machine_changes_no_verdict():
    """Both sides get slower from round to round, up to tenfold: their ratio does not."""
    row = compared("a", "c", [(5.0 * n, 10.0 * n) for n in range(1, 10)], "p", Goal(0.51))
    assert (row.ratio, row.ratio_spread, row.verdict) == (0.5, 0.0, "met") and row.spread > 0.5


def test_a_file_of_rows_is_old_or_new_and_never_half(tmp_path, monkeypatch):
    """A disk that is full, say, leaves the rows of the last run."""
    target, rows = tmp_path / "rows.json", [compared("a", "c", pairs(0.5), "p")]
    save(rows, target)

    def full(*words: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(FileError, match="No space left"):
        save([*rows, *rows], target)
    assert load(target) == rows and [each.name for each in tmp_path.iterdir()] == ["rows.json"]


@pytest.mark.parametrize(
    ("what", "status"), [("print('x' * 100_000)", 1), ("signal.raise_signal(signal.SIGINT)", 130), ("3", 3)]
)
def test_a_program_whose_reader_has_gone_says_nothing(what, status):
    here, there = os.pipe()
    os.close(here)
    program = f"import signal\nfrom bench.ending import ended\nended(lambda: {what})"
    done = subprocess.run([sys.executable, "-c", program], stdout=there, stderr=subprocess.PIPE, cwd=ROOT)
    os.close(there)
    assert (done.returncode, done.stderr) == (status, b"")


def test_what_has_no_goal_is_reported():
    assert compared("a", "c", pairs(0.5), "p").verdict == ""
    assert "0 of 0 goals met" in summary([compared("a", "c", pairs(0.5), "p")])[0]


@pytest.mark.parametrize("name", RECORDED)
def test_a_goal_is_the_ratio_on_record_and_three_percent(name):
    record = RECORDED[name]
    for cpu, ratio in record.ratios.items():
        rest = (record.scatter, record.busy, "", record.fills_cache)
        assert goal_of(name, cpu=cpu) == Goal(ratio * MARGIN, *rest)
        assert goal_of(name, more=True, cpu=cpu) == Goal(ratio / MARGIN, *rest)


def test_a_cpu_without_record_is_judged_by_the_worst_of_others_or_not_at_all(monkeypatch):
    monkeypatch.setitem(RECORDED, "two", GoalRecord({"a": 1.0, "b": 2.0}))
    monkeypatch.setitem(RECORDED, "one", GoalRecord({ZEN5: 1.0}))
    assert goal_of("two", cpu="c") == Goal(2.0 * MARGIN)
    assert goal_of("two", cpu="c", more=True) == Goal(1.0 / MARGIN)
    goal = goal_of("one", cpu="c")
    assert goal is not None and "no ratio on record of this CPU (c), only of AMD Zen 5" in goal.why
    assert compared("one", "c", pairs(5.0), "p", goal).verdict == "not judged"
    assert goal_of("nothing of that name") is None


def test_the_table_names_what_is_missed_and_what_is_not_judged():
    said = io.StringIO()
    rows = [
        compared("fast", "c", pairs(0.5), "p", Goal(0.51)),
        compared("slow", "c", pairs(0.6), "p", Goal(0.5)),
        compared("unsure", "c", pairs(0.5, 0.1), "p", Goal(0.51)),
        compared("news", "c", pairs(0.3), "p", Goal(0.5)),
    ]
    show(rows, said)
    text = " ".join(said.getvalue().split())
    assert "2 of 4 goals met" in text
    assert "missed, by so much of the goal: slow (20%)" in text
    assert "not judged: unsure (known to ±10.0%, 2.0% from its goal)" in text
    assert "better than on record (the goals stay): news (40%)" in text


def test_a_row_of_several_processes_is_their_median_and_their_spread():
    """Each is sure of its own ratio; that they disagree makes the row less sure."""
    runs = [compared("a", "c", pairs(each), "p", Goal(0.5)) for each in (0.6, 0.4, 0.45)]
    assert [row.verdict for row in runs] == ["missed", "met", "met"]
    row = merged(runs, Goal(0.5))
    assert (row.ratio, row.verdict, row.runs) == (0.45, "not judged", 3)
    same = merged([runs[0]] * 3, Goal(0.5))
    assert (same.ratio, same.verdict) == (0.6, "missed")


def test_what_is_missed_or_unsure_is_measured_again():
    rows = [
        replace(compared(name, "c", found, "p", goal), test=f"bench/test_{name}.py")
        for name, found, goal in (
            ("slow", pairs(0.6), Goal(0.5)),
            ("fast", pairs(0.4), Goal(0.5)),
            ("unsure", pairs(0.5, 0.1), Goal(0.5)),
            ("plain", pairs(0.5, 0.1), None),
            ("unknown", pairs(0.5), Goal(0.4, why="no ratio on record of this CPU")),
        )
    ]
    assert again(rows) == ["bench/test_slow.py", "bench/test_unsure.py"]
    found = joined([rows, [rows[0]]])
    assert [row.name for row in found] == [row.name for row in rows]
    assert [row.runs for row in found] == [2, 1, 1, 1, 1]


def test_the_file_has_goal_and_verdict_of_each_row(tmp_path):
    rows = [compared("fast", "c", pairs(0.5), "p", Goal(0.4)), measured("plain", "c", [3.0])]
    save(rows, tmp_path / "latest.json")
    read = json.loads((tmp_path / "latest.json").read_text())
    assert [(row["name"], row["goal"], row["verdict"]) for row in read] == [
        ("fast", 0.4, "missed"),
        ("plain", None, ""),
    ]
    assert [(label, times) for label, times, _ in bars(read)] == [("fast\np", 2.0)]
    assert load(tmp_path / "latest.json") == rows


def test_the_table_for_documents_has_what_is_compared():
    rows = [compared("fast", "c", pairs(0.5), "p", Goal(0.4)), measured("plain", "c", [3.0])]
    lines = markdown(rows).splitlines()
    assert lines[2:] == [
        "| fast | c | 5.00 | 0% | p | 10.00 | 0% | 0.500 | 0.0% | 0.400, **missed by 25%** |"
    ]


@pytest.mark.parametrize(("others", "verdict"), [(0.0, "missed"), (0.8, "not judged")])
def test_a_row_that_fills_the_cache_is_judged_only_alone(
    monkeypatch: pytest.MonkeyPatch, others: float, verdict: str
) -> None:
    monkeypatch.setitem(RECORDED, "large", GoalRecord({"a": 1.0, "b": 1.0}, fills_cache=True))
    monkeypatch.setitem(RECORDED, "small", GoalRecord({"a": 1.0, "b": 1.0}))
    found = [
        compared(name, "c", [(2.0, 1.0)] * 9, "p", goal_of(name, cpu="a")) for name in ("large", "small")
    ]
    rows = [bench_main.shared(row, others) for row in found]
    assert [row.verdict for row in rows] == [verdict, "missed"]
    assert ("other programs took 0.80 CPUs" in rows[0].why) == (verdict == "not judged")


@pytest.mark.parametrize(
    ("ratio", "others", "verdict"),
    [
        (1.05, 0.0, "missed"),
        (1.05, 0.05, "missed"),
        (1.05, 0.8, "not judged"),
        (0.99, 0.8, "not judged"),
        (1.10, 0.8, "missed"),
        (0.94, 0.8, "met"),
        (1.10, 2.0, "not judged"),
    ],
)
def test_beside_other_programs_a_ratio_is_known_less_well(
    monkeypatch: pytest.MonkeyPatch, ratio: float, others: float, verdict: str
) -> None:
    monkeypatch.setitem(RECORDED, "moved", GoalRecord({"a": 1 / MARGIN, "b": 1 / MARGIN}, busy=0.05))
    goal = goal_of("moved", cpu="a")
    assert goal and goal.ratio == pytest.approx(1.0)
    row = bench_main.shared(compared("moved", "c", [(ratio, 1.0)] * 9, "p", goal), others)
    assert row.verdict == verdict
    assert (f"programs that took {others:.2f} CPUs" in row.why) == (verdict == "not judged")
