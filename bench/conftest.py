# SPDX-License-Identifier: BSD-3-Clause
"""The benchmarks' frame: each measure is one row of a table and of ``bench/latest.json``.

A measure is run several times by pytest-benchmark; the row quotes the median of what it returned (cycles per packet,
packets per second, ...), not the time it took. Cycles are of the time-stamp counter.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from bench import peer
from bench.plot import draw
from dataplane import machine

LATEST = Path(__file__).with_name("latest.json")


@dataclass
class Row:
    """One figure. spread: half the range of its runs over their median. goal None: reported, not judged."""

    name: str
    unit: str
    value: float
    goal: float | None
    met: bool
    spread: float
    peer: str | None = None
    peer_value: float | None = None
    ratio: float | None = None
    peer_spread: float | None = None  # None: its figure was not measured in this run
    better: str = "less"  # or "more": what is good of this unit


def spread(values: Sequence[float]) -> float:
    """Half the range over the median."""
    middle = statistics.median(values)
    return (max(values) - min(values)) / 2 / middle if middle else 0.0


rows: list[Row] = []
skipped: list[tuple[str, str]] = []


@pytest.fixture
def measure(benchmark):
    """measure(name, unit, run, at_most= or at_least=, peer=, peer_value=, rounds=5): the median of what `run()` returns."""

    def run_and_record(
        name: str,
        unit: str,
        run: Callable[[], float],
        *,
        at_most: float | None = None,
        at_least: float | None = None,
        peer: str | None = None,
        peer_value: float | None = None,
        rounds: int = 5,
    ) -> float:
        values: list[float] = []
        benchmark.pedantic(lambda: values.append(run()), rounds=rounds, warmup_rounds=1)
        values = values[1:]  # the first was the warm-up
        value = statistics.median(values)
        goal = at_most if at_most is not None else at_least
        met = goal is None or (value <= goal if at_most is not None else value >= goal)
        ratio = value / peer_value if peer_value else None
        row = Row(
            name,
            unit,
            round(value, 3),
            goal,
            met,
            round(spread(values), 3),
            peer,
            peer_value,
            ratio and round(ratio, 3),
            better="less" if at_least is None else "more",
        )
        rows.append(row)
        benchmark.extra_info.update(asdict(row))
        return value

    return run_and_record


@pytest.fixture
def compare(benchmark):
    """compare(name, unit, ours, theirs, peer, at_most= or at_least=, slices=5, rounds=5).

    `ours()` and `theirs()` measure by turns; a round's figure is each side's best slice, because what else the machine does
    is nobody's, and the row quotes medians of the rounds. The goal is so many times the peer's figure (None: not judged).
    """

    def run_and_record(
        name: str,
        unit: str,
        ours: Callable[[], float],
        theirs: Callable[[], float],
        peer: str,
        *,
        at_most: float | None = None,
        at_least: float | None = None,
        slices: int = 5,
        rounds: int = 5,
    ) -> float:
        best = min if at_least is None else max
        pairs: list[tuple[float, float]] = []

        def take_turns() -> None:
            taken = [(ours(), theirs()) for _ in range(slices)]
            pairs.append((best(one for one, _ in taken), best(other for _, other in taken)))

        benchmark.pedantic(take_turns, rounds=rounds, warmup_rounds=1)
        values, peer_values = zip(*pairs[1:], strict=True)  # the first was the warm-up
        value, peer_value = statistics.median(values), statistics.median(peer_values)
        times = at_most if at_most is not None else at_least
        goal = times and times * peer_value
        met = goal is None or (value <= goal if at_most is not None else value >= goal)
        row = Row(
            name,
            unit,
            round(value, 3),
            goal and round(goal, 3),
            met,
            round(spread(values), 3),
            peer,
            round(peer_value, 3),
            round(value / peer_value, 3),
            round(spread(peer_values), 3),
            "less" if at_least is None else "more",
        )
        rows.append(row)
        benchmark.extra_info.update(asdict(row))
        return value / peer_value

    return run_and_record


@pytest.fixture(scope="session")
def debian_dpdk() -> Iterator[None]:
    """DPDK, installed if need be, and hugepages for it."""
    try:
        with peer.hugepages():
            peer.ready(fetch=True)
            yield
    except peer.Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session", params=[False])
def dpdk(request, tmp_path_factory, debian_dpdk):
    """DPDK and its device in a process of their own; with offloads if the parameter says so."""
    folder = tmp_path_factory.mktemp("peer")
    with peer.Peer(folder, machine.usable_cpus()[-1], full=request.param) as found:
        yield found


@pytest.fixture
def lcore() -> Iterator[int]:
    """The test's thread as an lcore on the last CPU: mempools use its cache."""
    number = machine.enter(machine.usable_cpus()[-1])
    yield number
    machine.leave()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped:
        skipped.append((report.nodeid.split("::")[-1], str(report.longrepr[2]) if report.longrepr else ""))


def pytest_terminal_summary(terminalreporter) -> None:
    if not rows:
        return
    LATEST.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
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
    Console(width=140).print(table)
    reasons: dict[str, list[str]] = {}
    for name, reason in skipped:
        reasons.setdefault(reason.removeprefix("Skipped: "), []).append(name)
    for reason, names in reasons.items():
        terminalreporter.write_line(f"skipped: {', '.join(names)}: {reason}")
    terminalreporter.write_line(f"written to {LATEST}{_picture()}")


def _picture() -> str:
    """Draw latest.png; says so, or why not."""
    target = LATEST.with_suffix(".png")
    try:
        return f" and {target}" if draw([asdict(row) for row in rows], target) else ""
    except ImportError:
        return "; no picture: it takes matplotlib, pip install '.[bench]'"
