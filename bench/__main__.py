# SPDX-License-Identifier: BSD-3-Clause
"""``python -m bench``: the benchmarks, and once more in new processes what missed its goal or could not be judged.

`make bench` runs it. Words are for pytest (``-k ring``). Prints the table, writes ``bench/latest.json`` and draws
``bench/latest.png``; ends with pytest's status: a benchmark that fails is an error, a goal that is missed is a finding.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from bench.ending import ended
from bench.goals import goal_of, kind
from bench.noise import Noise
from bench.plot import draw
from bench.report import Row, beside, load, merged, save, show

ROOT = Path(__file__).resolve().parents[1]
LATEST = Path(__file__).with_name("latest.json")
ALONE = 0.1  # CPUs that other programs may take before a row is judged as on a busy machine
PATIENCE = 900  # seconds for one benchmark; beside other programs some take minutes
PROCESSES = 5  # at most: where memory happens to lie makes a process faster or slower for as long as it lives


def run(words: Sequence[str], folder: Path) -> tuple[int, list[Row]]:
    """pytest's status with these words, and the rows that it found."""
    target = folder / "rows.json"
    command = [sys.executable, "-m", "pytest", "-q", "--benchmark-quiet", "--timeout", str(PATIENCE)]
    command += ["--rows", str(target), *words]
    status = subprocess.run(command, cwd=ROOT).returncode
    return status, load(target) if target.exists() else []


def again(rows: Sequence[Row]) -> list[str]:
    """The tests of rows that may be what they are by chance."""
    return sorted({row.test for row in rows if row.verdict == "missed" or (row.verdict and "±" in row.why)})


def joined(runs: Sequence[Sequence[Row]]) -> list[Row]:
    """The rows of the first run, each with what the others found of it."""
    found: dict[str, list[Row]] = {}
    for rows in runs:
        for row in rows:
            found.setdefault(row.name, []).append(row)
    return [
        merged(found[row.name], goal_of(row.name, more=row.better == "more"))
        if len(found[row.name]) > 1
        else row
        for row in runs[0]
    ]


def shared(row: Row, others: float) -> Row:
    """The row as it is judged on a machine where other programs took `others` CPUs meanwhile."""
    goal = goal_of(row.name, more=row.better == "more")
    if goal is None or others < ALONE or row.verdict not in ("met", "missed"):
        return row
    if goal.fills_cache:
        why = f"its memory fills the cache, and other programs took {others:.2f} CPUs"
        return replace(row, verdict="not judged", why=why)
    return beside(row, goal, others)


def main(words: Sequence[str]) -> int:
    noise = Noise()
    with tempfile.TemporaryDirectory() as folder:
        status, first = run(["bench", *words], Path(folder))
        runs, rows = [first], first
        while "--quick" not in words and len(runs) < PROCESSES and (tests := again(rows)):
            print(f"once more, in a new process: {len(tests)} of {len(rows)} rows", flush=True)
            failed, more = run(tests, Path(folder))
            status = status or failed
            runs.append(more)
            rows = joined(runs)
    if not rows:
        print(f"no row was measured: pytest ended with status {status}", file=sys.stderr)
        return status or 1
    rows = [shared(row, noise.others()) for row in rows]
    show(rows)
    print(f"the machine: {kind()}; {noise.say([row.wobble for row in rows if row.ratio is not None])}")
    if "--quick" not in words:
        save(rows, LATEST)
        print(f"written to {LATEST}{_picture(rows)}")
    return status


def _picture(rows: Sequence[Row]) -> str:
    """Draw latest.png; says so, or why not."""
    target = LATEST.with_suffix(".png")
    try:
        return f" and {target}" if draw([asdict(row) for row in rows], target) else ""
    except ImportError:
        return "; no picture: it takes matplotlib, pip install '.[bench]'"


if __name__ == "__main__":
    ended(lambda: main(sys.argv[1:]))
