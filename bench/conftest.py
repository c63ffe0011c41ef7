# SPDX-License-Identifier: BSD-3-Clause
"""The benchmarks' frame: each measure is one row of a table and, with `python -m bench`, of ``bench/latest.json``.

A measure is run several times by pytest-benchmark; the row quotes the median of what it returned (cycles per packet,
packets per second, ...), not the time it took. Cycles are of the time-stamp counter.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from bench import peer
from bench.goals import goal_of
from bench.judge import figure
from bench.loops.yardstick import Yardstick
from bench.noise import wobble
from bench.report import Row, compared, measured, save, show
from dataplane import machine

YARDSTICK_ROUNDS = 250

rows: list[Row] = []
skipped: list[tuple[str, str]] = []


def quick(config: pytest.Config) -> bool:
    return bool(config.getoption("--quick"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--quick", action="store_true", help="one round of one slice and no peer: shows that all runs"
    )
    parser.addoption("--rows", type=Path, help="write the rows to this file instead of printing a table")


@pytest.fixture
def rounds_of(benchmark, pytestconfig):
    """rounds_of(slice, rounds): what `slice` returned in each round of pytest-benchmark, but for a first one to warm up."""

    def run(one: Callable[[], Any], rounds: int) -> list[Any]:
        values: list[Any] = []
        few = quick(pytestconfig)
        benchmark.pedantic(
            lambda: values.append(one()), rounds=1 if few else rounds, warmup_rounds=0 if few else 1
        )
        return values[1:] or values  # one is all there is in a quick run, and under --benchmark-disable

    return run


@pytest.fixture
def record(benchmark, request):
    """record(row): a row of the table, and of pytest-benchmark's own report."""

    def keep(row: Row) -> float:
        row = replace(row, test=request.node.nodeid)
        rows.append(row)
        benchmark.extra_info.update(asdict(row))
        return row.value

    return keep


@pytest.fixture
def measure(rounds_of, record, pytestconfig):
    """measure(name, unit, run, more=False, slices=1, rounds=5): a row without a peer, reported and not judged.

    A round's figure is the better quartile of what `run()` returned in so many slices; the row quotes their median.
    """

    def run_and_record(
        name: str,
        unit: str,
        run: Callable[[], float],
        *,
        slices: int = 1,
        rounds: int = 5,
        more: bool = False,
    ) -> float:
        slices = 1 if quick(pytestconfig) else slices
        values = rounds_of(lambda: figure([run() for _ in range(slices)], more=more), rounds)
        return record(measured(name, unit, values, more=more))

    return run_and_record


@pytest.fixture
def compare(rounds_of, record, pytestconfig):
    """compare(name, unit, ours, theirs, peer, more=False, slices=5, rounds=9): a row with a peer.

    `ours()` and `theirs()` measure by turns; a round's pair is each side's better quartile of the slices. The row quotes
    medians of the rounds, and is judged by the ratio if `bench.goals` has one of that name.
    """

    def run_and_record(
        name: str,
        unit: str,
        ours: Callable[[], float],
        theirs: Callable[[], float],
        peer: str,
        *,
        more: bool = False,
        slices: int = 5,
        rounds: int = 9,
    ) -> float:
        slices, wobbles = 1 if quick(pytestconfig) else slices, []

        def take_turns() -> tuple[float, float]:
            taken: tuple[list[float], list[float]] = [], []
            for turn in range(slices):
                for which in (0, 1) if turn % 2 else (1, 0):
                    taken[which].append((ours, theirs)[which]())
            wobbles.append(wobble([1 / each for each in taken[0]] if more else taken[0]))
            return figure(taken[0], more=more), figure(taken[1], more=more)

        pairs = rounds_of(take_turns, rounds)
        row = compared(name, unit, pairs, peer, goal_of(name, more=more), more=more)
        return record(replace(row, wobble=round(statistics.median(wobbles), 4)))

    return run_and_record


@pytest.fixture
def yardstick() -> Callable[[], float]:
    """Cycles of a turn of the calibration loop: the peer of work that has no other."""
    loop = Yardstick()

    def turn() -> float:
        loop.cycles(YARDSTICK_ROUNDS // 10)  # its memory is in the cache again, which the work had meanwhile
        return float(loop.cycles(YARDSTICK_ROUNDS))

    return turn


@pytest.fixture(scope="session")
def debian_dpdk(pytestconfig) -> Iterator[None]:
    """DPDK, installed if need be, and hugepages for it."""
    if quick(pytestconfig):
        pytest.skip("a quick run has no peer")
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


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    if rows and not config.getoption("--rows"):
        show(rows)
    reasons: dict[str, list[str]] = {}
    for name, reason in skipped:
        reasons.setdefault(reason.removeprefix("Skipped: "), []).append(name)
    for reason, names in reasons.items():
        terminalreporter.write_line(f"skipped: {', '.join(names)}: {reason}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    if target := session.config.getoption("--rows"):
        save(rows, target)
