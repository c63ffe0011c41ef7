# SPDX-License-Identifier: BSD-3-Clause
"""What benchmarks found: rows of a table and of ``bench/latest.json``, and whether each is as good as it has to be.

``python -m bench.report`` writes the judged and the compared rows of that file as the table of docs/benchmarks.md.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO

from rich.console import Console
from rich.table import Table

from bench.ending import ended
from bench.goals import MARGIN, Goal
from bench.judge import Ratio, judged, pooled, ratio_of
from dataplane.files.output import Whole


@dataclass(frozen=True)
class Row:
    """One figure, its peer's and their ratio, if there is a peer that it was measured with by turns.

    spread, peer_spread: half the range of the rounds over their median; ratio_spread: how well the ratio is known. goal: of
    the ratio, None: reported, not judged. verdict: "met", "missed", "not judged", or nothing; why: it is not judged.
    """

    name: str
    unit: str
    value: float
    spread: float
    peer: str | None = None
    peer_value: float | None = None
    peer_spread: float | None = None
    ratio: float | None = None
    ratio_spread: float | None = None
    goal: float | None = None
    verdict: str = ""
    why: str = ""
    better: str = "less"  # or "more": what is good of this unit
    wobble: float = 0.0  # by how much the middle slice was dearer than the best one
    test: str = ""  # the test that measures it, for pytest
    runs: int = 1  # processes that measured it

    @property
    def to_spare(self) -> float:
        """How much better than its goal the ratio is, as a part of the goal."""
        assert self.goal and self.ratio is not None
        return (self.ratio - self.goal) / self.goal * (1 if self.better == "more" else -1)


def spread(values: Sequence[float]) -> float:
    """Half the range over the median."""
    middle = statistics.median(values)
    return (max(values) - min(values)) / 2 / middle if middle else 0.0


def measured(name: str, unit: str, values: Sequence[float], *, more: bool = False) -> Row:
    """The row of a figure without a peer, from the figures of its rounds. more: much of it is good."""
    better = "more" if more else "less"
    return Row(name, unit, round(statistics.median(values), 3), round(spread(values), 3), better=better)


def compared(
    name: str,
    unit: str,
    pairs: Sequence[tuple[float, float]],
    peer: str,
    goal: Goal | None = None,
    *,
    more: bool = False,
) -> Row:
    """The row of a figure and its peer's, from the pairs of its rounds. goal: of their ratio."""
    values, peer_values = zip(*pairs, strict=True)
    row = replace(
        measured(name, unit, values, more=more),
        peer=peer,
        peer_value=round(statistics.median(peer_values), 3),
        peer_spread=round(spread(peer_values), 3),
    )
    return _decided(row, ratio_of(pairs), goal)


def _decided(row: Row, ratio: Ratio, goal: Goal | None) -> Row:
    if goal is not None:  # the median of k processes is known that much better than one of them
        ratio = replace(ratio, spread=max(ratio.spread, goal.scatter / math.sqrt(row.runs)))
    row = replace(row, ratio=round(ratio.value, 4), ratio_spread=round(ratio.spread, 4))
    if goal is None:
        return row
    verdict, why = judged(ratio, goal.ratio, more=row.better == "more"), ""
    if goal.why:
        verdict, why = "not judged", goal.why
    elif verdict == "not judged":
        why = f"known to ±{ratio.spread:.1%}, {abs(ratio.value / goal.ratio - 1):.1%} from its goal"
    return replace(row, goal=round(goal.ratio, 4), verdict=verdict, why=why)


def merged(runs: Sequence[Row], goal: Goal | None) -> Row:
    """One row of what several processes measured."""
    assert all(row.ratio is not None and row.ratio_spread is not None for row in runs)
    row = replace(
        runs[0],
        value=statistics.median(row.value for row in runs),
        peer_value=statistics.median(row.peer_value or 0.0 for row in runs),
        runs=len(runs),
    )
    return _decided(row, pooled([Ratio(row.ratio or 0, row.ratio_spread or 0, 1) for row in runs]), goal)


def beside(row: Row, goal: Goal, others: float) -> Row:
    """The row known less well, since other programs took `others` CPUs: they move both figures, and not alike."""
    assert row.ratio is not None
    moved = goal.busy * max(1.0, others)
    known = (row.ratio_spread or 0.0) + moved
    verdict = judged(Ratio(row.ratio, known, 1), goal.ratio, more=row.better == "more")
    why = ""
    if verdict == "not judged":
        off = abs(row.ratio / goal.ratio - 1)
        why = f"known to ±{known:.1%} beside programs that took {others:.2f} CPUs, {off:.1%} from its goal"
    return replace(row, ratio_spread=round(known, 4), verdict=verdict, why=why)


def save(rows: Sequence[Row], target: Path) -> None:
    """Write the rows to a file: a reader sees the old ones or these, never half. Raises FileError."""
    Whole(target, "the rows").write(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


def load(source: Path) -> list[Row]:
    return [Row(**row) for row in json.loads(source.read_text())]


def show(rows: Sequence[Row], to: IO[str] | None = None) -> None:
    """Print the table, how many goals were reached, and by name what was not and what was not judged."""
    table = Table(title="dataplane: medians, cycles of the time-stamp counter", title_justify="left")
    for heading in ("measure", "unit", "value", "±", "beside", "its figure", "±", "ratio", "±", "goal", ""):
        left = heading in ("measure", "unit", "beside", "")
        table.add_column(heading, justify="left" if left else "right")
    for row in rows:
        table.add_row(
            row.name, row.unit, *_cells(row), row.verdict.upper() if row.verdict == "missed" else row.verdict
        )
    console = Console(width=180, file=to, highlight=False)
    console.print(table)
    for line in summary(rows):
        console.print(line, markup=False)


def summary(rows: Sequence[Row]) -> list[str]:
    """How many goals were met; by name what was missed, what could not be judged, and what is better than its record."""
    goals = [row for row in rows if row.goal is not None]
    missed = [f"{row.name} ({-row.to_spare:.0%})" for row in goals if row.verdict == "missed"]
    unsure = [f"{row.name} ({row.why})" for row in goals if row.verdict == "not judged"]
    # A record is MARGIN better than its goal: what is better still by as much is news.
    better = [
        f"{row.name} ({row.to_spare:.0%})"
        for row in goals
        if row.verdict == "met" and row.to_spare - (row.ratio_spread or 0) > 2 * (MARGIN - 1)
    ]
    lines = [f"{sum(row.verdict == 'met' for row in goals)} of {len(goals)} goals met"]
    for what, names in (
        ("missed, by so much of the goal", missed),
        ("not judged", unsure),
        ("better than on record (the goals stay)", better),
    ):
        if names:
            lines.append(f"{what}: {'; '.join(names)}")
    return lines


def _cells(row: Row) -> tuple[str, ...]:
    def number(value: float | None) -> str:
        return "" if value is None else f"{value:,.2f}"

    def part(value: float | None) -> str:
        return "" if value is None else f"{value:.0%}"

    return (
        *(number(row.value), part(row.spread), row.peer or ""),
        *(number(row.peer_value), part(row.peer_spread)),
        "" if row.ratio is None else f"{row.ratio:.3f}",
        "" if row.ratio_spread is None else f"{row.ratio_spread:.1%}",
        "" if row.goal is None else f"{row.goal:.3f}",
    )


def markdown(rows: Sequence[Row]) -> str:
    """A table of the rows that were measured by turns with a peer."""
    lines = [
        "| what | unit | ours | ± | beside | its figure | ± | ratio | ± | goal |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        if row.ratio is None:
            continue
        *cells, goal = _cells(row)
        verdict = f"**missed by {-row.to_spare:.0%}**" if row.verdict == "missed" else row.verdict
        lines.append(f"| {' | '.join((row.name, row.unit, *cells, f'{goal}, {verdict}' if goal else ''))} |")
    return "\n".join(lines)


if __name__ == "__main__":
    ended(lambda: print(markdown(load(Path(__file__).with_name("latest.json")))))
