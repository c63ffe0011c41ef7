# SPDX-License-Identifier: BSD-3-Clause
"""The table of this tree beside another revision, and what it says of each row."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO

from rich.console import Console
from rich.table import Table

from bench.against.turns import Found
from bench.judge import against, ratio_of

LEAST = 0.02  # a difference up to this is none


@dataclass(frozen=True)
class Line:
    """A row: medians of both trees' figures, the median of the pairs' ratios, how well that is known, and the verdict.

    verdict: "same", "faster", "slower", "not judged"; "not here" or "not there" when that tree has no figure, and why.
    """

    name: str
    unit: str
    verdict: str
    value: float | None = None
    other: float | None = None
    ratio: float | None = None
    spread: float | None = None
    pairs: int = 0
    why: str = ""


def line_of(name: str, unit: str, found: Found) -> Line:
    if found.absent_here:
        return Line(name, unit, "not here", why=found.absent_here)
    if found.absent_there:
        return Line(name, unit, "not there", why=found.absent_there)
    ratio, (ours, theirs) = ratio_of(found.pairs), zip(*found.pairs, strict=True)
    return Line(
        name,
        unit,
        against(ratio, LEAST),
        round(statistics.median(ours), 3),
        round(statistics.median(theirs), 3),
        round(ratio.value, 4),
        round(ratio.spread, 4),
        ratio.pairs,
    )


def show(lines: Sequence[Line], revision: str, noise: str, to: IO[str] | None = None) -> None:
    """Print the table, what is not judged, what is slower, and how noisy the machine was."""
    table = Table(title=f"this tree beside {revision}: medians, by turns on one CPU", title_justify="left")
    for heading in ("measure", "unit", "this tree", revision, "ratio", "±", "pairs", "verdict"):
        right = heading in ("this tree", revision, "ratio", "±", "pairs")
        table.add_column(heading, justify="right" if right else "left")
    for line in lines:
        if line.ratio is None or line.value is None or line.other is None or line.spread is None:
            table.add_row(line.name, line.unit, "", "", "", "", "", line.verdict)
            continue
        figures = f"{line.value:,.2f}", f"{line.other:,.2f}", f"{line.ratio:.3f}", f"{line.spread:.1%}"
        table.add_row(line.name, line.unit, *figures, str(line.pairs), line.verdict)
    console = Console(width=140, file=to, highlight=False)
    console.print(table)
    for line in lines:
        if line.why:
            console.print(f"{line.verdict}: {line.name}: {line.why}", markup=False)
    unsure = [f"{line.name} (±{line.spread:.1%})" for line in lines if line.verdict == "not judged"]
    if unsure:
        console.print(f"not judged, known less well than to {LEAST:.0%}: {'; '.join(unsure)}")
    console.print(f"the machine: {noise}")
    slower = [
        f"{line.name} ({line.ratio - 1:+.1%})" for line in lines if line.verdict == "slower" and line.ratio
    ]
    compared = sum(line.ratio is not None for line in lines)
    console.print(f"{len(slower)} of {compared} rows slower{': ' if slower else ''}{'; '.join(slower)}")
