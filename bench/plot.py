# SPDX-License-Identifier: BSD-3-Clause
"""A picture of ``latest.json``: how many times as fast as its peer each thing is, where the same run measured both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

OURS, BEHIND = "#3b6ea5", "#b5533c"


def compared(rows: list[dict[str, Any]]) -> list[tuple[str, float, float]]:
    """(label, times as fast, half its spread) of the rows whose peer was measured in the same run, as they come."""
    found = []
    for row in rows:
        if row["ratio"] is None:
            continue
        times = row["ratio"] if row["better"] == "more" else 1 / row["ratio"]
        found.append((f"{row['name']}\n{row['peer']}", times, times * row["ratio_spread"]))
    return found


def draw(rows: list[dict[str, Any]], target: Path) -> bool:
    """Write the picture; False if nothing was compared. Raises ImportError without matplotlib."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    bars = compared(rows)[::-1]
    if not bars:
        return False
    labels, times, spreads = zip(*bars, strict=True)
    figure = Figure(figsize=(10, 1 + 0.45 * len(bars)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.barh(
        labels, times, xerr=spreads, color=[OURS if each >= 1 else BEHIND for each in times], ecolor="#444444"
    )
    axes.axvline(1, color="black", linewidth=1)
    for at, each in enumerate(times):
        axes.text(each, at, f"  {each:.2f}", va="bottom", fontsize=8)
    axes.set_xlabel("times as fast as the peer, measured by turns in one run")
    axes.tick_params(axis="y", labelsize=8)
    figure.savefig(target, dpi=120)
    return True


if __name__ == "__main__":
    here = Path(__file__).parent
    draw(json.loads((here / "latest.json").read_text()), here / "latest.png")
