# SPDX-License-Identifier: BSD-3-Clause
"""What benchmarks found: rows of a table and of ``bench/latest.json``, and whether each is as good as it has to be.

``python -m bench.report`` writes the judged and the compared rows of that file as the table of docs/benchmarks.md.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from rich.console import Console
from rich.table import Table


@dataclass
class Row:
    """One figure. spread: half the range of its rounds over their median. goal None: reported, not judged."""

    name: str
    unit: str
    value: float
    goal: float | None
    met: bool
    spread: float
    peer: str | None = None
    peer_value: float | None = None
    ratio: float | None = None
    peer_spread: float | None = None  # None: the peer is an earlier row, not measured by turns with this one
    better: str = "less"  # or "more": what is good of this unit


def spread(values: Sequence[float]) -> float:
    """Half the range over the median."""
    middle = statistics.median(values)
    return (max(values) - min(values)) / 2 / middle if middle else 0.0


def measured(
    name: str,
    unit: str,
    values: Sequence[float],
    *,
    at_most: float | None = None,
    at_least: float | None = None,
    peer: str | None = None,
    peer_value: float | None = None,
    more: bool = False,
) -> Row:
    """The row of a figure of its own, from the figures of its rounds. more: much of it is good, though nothing is asked."""
    value, goal = statistics.median(values), at_most if at_most is not None else at_least
    return Row(
        name,
        unit,
        round(value, 3),
        goal and round(goal, 3),
        _met(value, at_most, at_least),
        round(spread(values), 3),
        peer,
        peer_value and round(peer_value, 3),
        round(value / peer_value, 3) if peer_value else None,
        better="more" if more or at_least is not None else "less",
    )


def compared(
    name: str,
    unit: str,
    pairs: Sequence[tuple[float, float]],
    peer: str,
    *,
    at_most: float | None = None,
    at_least: float | None = None,
    floor: float = 0.0,
) -> Row:
    """The row of a figure and its peer's, from the pairs of its rounds.

    The goal is `at_most` or `at_least` times the peer's figure; floor: and not less than that, however slow the peer is.
    """
    values, peer_values = zip(*pairs, strict=True)
    peer_value = statistics.median(peer_values)
    row = measured(
        name,
        unit,
        values,
        at_most=None if at_most is None else at_most * peer_value,
        at_least=None if at_least is None else max(at_least * peer_value, floor),
        peer=peer,
        peer_value=peer_value,
    )
    row.peer_spread = round(spread(peer_values), 3)
    return row


def _met(value: float, at_most: float | None, at_least: float | None) -> bool:
    return (at_most is None or value <= at_most) and (at_least is None or value >= at_least)


def save(rows: Sequence[Row], target: Path) -> None:
    target.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


def show(rows: Sequence[Row], to: IO[str] | None = None) -> None:
    """Print the table, and how many goals were reached."""
    table = Table(title="dataplane: medians, cycles of the time-stamp counter", title_justify="left")
    for heading in ("measure", "unit", "value", "±", "goal", "", "peer", "its figure", "±", "ratio"):
        right = heading in ("value", "±", "goal", "its figure", "ratio")
        table.add_column(heading, justify="right" if right else "left")
    for row in rows:
        table.add_row(
            row.name,
            row.unit,
            f"{row.value:,.2f}",
            f"{row.spread:.0%}",
            "" if row.goal is None else f"{row.goal:,.2f}",
            "" if row.goal is None else "met" if row.met else "MISSED",
            row.peer or "",
            "" if row.peer_value is None else f"{row.peer_value:,.2f}",
            "" if row.peer_spread is None else f"{row.peer_spread:.0%}",
            "" if row.ratio is None else f"{row.ratio:.2f}",
        )
    console = Console(width=160, file=to)
    console.print(table)
    judged = [row for row in rows if row.goal is not None]
    missed = [f"{row.name} ({_short_of(row):.0%})" for row in judged if not row.met]
    console.print(
        f"{len(judged) - len(missed)} of {len(judged)} goals met"
        + (f"; missed, by so much of the goal: {'; '.join(missed)}" if missed else ""),
        highlight=False,
    )


def _short_of(row: Row) -> float:
    assert row.goal
    return abs(row.value - row.goal) / row.goal


def markdown(rows: Sequence[Row]) -> str:
    """A table of the rows that have a goal or were measured by turns with a peer."""
    lines = [
        "| what | unit | ours | ± | peer | its figure | ± | ratio | goal |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        if row.goal is None and row.peer_spread is None:
            continue
        verdict = "met" if row.met else f"**missed by {_short_of(row):.0%}**" if row.goal else ""
        judged = "" if row.goal is None else f"{row.goal:,.2f}, {verdict}"
        cells = (
            row.name,
            row.unit,
            f"{row.value:,.2f}",
            f"{row.spread:.0%}",
            row.peer or "",
            "" if row.peer_value is None else f"{row.peer_value:,.2f}",
            "" if row.peer_spread is None else f"{row.peer_spread:.0%}",
            "" if row.ratio is None else f"{row.ratio:.2f}",
            judged,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(markdown([Row(**row) for row in json.loads(Path(__file__).with_name("latest.json").read_text())]))
