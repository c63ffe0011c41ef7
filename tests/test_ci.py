# SPDX-License-Identifier: BSD-3-Clause
"""The summary that ends a CI run: what it counts, and that it lets no failure and no idle skip pass."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SUMMARY = Path(__file__).resolve().parent.parent / ".ci" / "summary.py"
PASSED = '<testcase classname="t" name="a"/>'
FAILED = '<testcase classname="t" name="b"><failure message="no"/></testcase>'
BROKEN = '<testcase classname="t" name="c"><error message="no"/></testcase>'
RAN = '<testcase classname="t" name="d"/>'
SKIPPED = '<testcase classname="t" name="d"><skipped message="{}"/></testcase>'


def summary(folder: Path, steps: str = "build\t0\t3\n", **reports: str) -> tuple[int, str]:
    (folder / "steps.tsv").write_text(steps)
    for name, cases in reports.items():
        (folder / f"{name}.xml").write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
    done = subprocess.run([sys.executable, SUMMARY, folder], capture_output=True, text=True)
    assert not done.stderr
    (folder / "said").write_text(done.stdout)
    return done.returncode, done.stdout.splitlines()[-1]


def test_all_is_well(tmp_path: Path) -> None:
    assert summary(tmp_path, root=PASSED + PASSED) == (0, "3 passed, 0 failed, 0 skipped")


@pytest.mark.parametrize("case", [FAILED, BROKEN, SKIPPED.format("no reason at all")])
def test_one_case_fails_the_run(tmp_path: Path, case: str) -> None:
    assert summary(tmp_path, root=PASSED + case) == (1, "2 passed, 1 failed, 0 skipped")


def test_a_failure_is_told_with_its_cause_and_place(tmp_path: Path) -> None:
    trace = "    def test():\n&gt;       assert link()\nE       AssertionError: no link\n\ntests/a.py:7: AssertionError"
    summary(
        tmp_path, root=f'<testcase classname="t" name="b"><failure message="m">{trace}</failure></testcase>'
    )
    said = (tmp_path / "said").read_text()
    assert (
        "FAILED  root: t.b\n          E       AssertionError: no link\n          tests/a.py:7: AssertionError\n"
        in said
    )
    assert "def test" not in said
    summary(tmp_path, root=FAILED)
    assert "FAILED  root: t.b\n          no\n" in (tmp_path / "said").read_text()


@pytest.mark.parametrize(("report", "status"), [("user", 0), ("root", 1)])
def test_a_skip_passes_only_where_its_reason_holds(tmp_path: Path, report: str, status: int) -> None:
    reports = {report: PASSED + SKIPPED.format("needs root"), "dpdk": RAN}
    assert summary(tmp_path, **reports)[0] == status


def test_a_skip_in_every_run_fails_where_root_runs_ci(tmp_path: Path) -> None:
    skip = SKIPPED.format("needs root")
    assert summary(tmp_path, user=PASSED + skip) == (0, "2 passed, 0 failed, 1 skipped")
    assert summary(tmp_path, user=PASSED + skip, root=PASSED) == (1, "3 passed, 1 failed, 1 skipped")
    assert summary(tmp_path, user=PASSED + skip, root=RAN) == (0, "3 passed, 0 failed, 1 skipped")


def test_a_step_that_failed_fails_the_run(tmp_path: Path) -> None:
    assert summary(tmp_path, "build\t0\t3\nlint\t1\t2\n", root=PASSED) == (1, "2 passed, 1 failed, 0 skipped")


def test_a_run_of_nothing_fails(tmp_path: Path) -> None:
    assert summary(tmp_path, "")[0] == 1


def test_runs_that_did_not_take_place_fail(tmp_path: Path) -> None:
    (tmp_path / "missing.txt").write_text("too few hugepages\n")
    assert summary(tmp_path, root=PASSED)[0] == 1
