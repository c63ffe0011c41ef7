# SPDX-License-Identifier: BSD-3-Clause
"""The benchmarks' frame: each measure is one row of a table and of ``bench/latest.json``.

A measure is run several times by pytest-benchmark; the row quotes the median of what it returned (cycles per packet,
packets per second, ...), not the time it took. Cycles are of the time-stamp counter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from bench import peer
from bench.plot import draw
from bench.report import Row, compared, measured, save, show
from dataplane import machine

LATEST = Path(__file__).with_name("latest.json")


rows: list[Row] = []
skipped: list[tuple[str, str]] = []


def quick(config: pytest.Config) -> bool:
    return bool(config.getoption("--quick"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--quick",
        action="store_true",
        help="one round of one slice and no peer: shows that all runs, writes nothing",
    )


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
def record(benchmark):
    """record(row): a row of the table, and of pytest-benchmark's own report."""

    def keep(row: Row) -> float:
        rows.append(row)
        benchmark.extra_info.update(asdict(row))
        return row.value

    return keep


@pytest.fixture
def measure(rounds_of, record, pytestconfig):
    """measure(name, unit, run, at_most= or at_least=, more=, peer=, peer_value=, slices=1, rounds=5).

    A round's figure is the best that `run()` returned in so many slices; the row quotes the median of the rounds.
    """

    def run_and_record(
        name: str, unit: str, run: Callable[[], float], *, slices: int = 1, rounds: int = 5, **goal: Any
    ) -> float:
        best = max if goal.get("at_least") is not None or goal.get("more") else min
        slices = 1 if quick(pytestconfig) else slices
        values = rounds_of(lambda: best(run() for _ in range(slices)), rounds)
        return record(measured(name, unit, values, **goal))

    return run_and_record


@pytest.fixture
def compare(rounds_of, record, pytestconfig):
    """compare(name, unit, ours, theirs, peer, at_most= or at_least=, floor=, slices=5, rounds=5).

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
        slices: int = 5,
        rounds: int = 5,
        **goal: Any,
    ) -> float:
        best = min if goal.get("at_least") is None else max
        slices = 1 if quick(pytestconfig) else slices

        def take_turns() -> tuple[float, float]:
            taken = [(ours(), theirs()) for _ in range(slices)]
            return best(one for one, _ in taken), best(other for _, other in taken)

        return record(compared(name, unit, rounds_of(take_turns, rounds), peer, **goal))

    return run_and_record


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
    if not rows:
        return
    show(rows)
    reasons: dict[str, list[str]] = {}
    for name, reason in skipped:
        reasons.setdefault(reason.removeprefix("Skipped: "), []).append(name)
    for reason, names in reasons.items():
        terminalreporter.write_line(f"skipped: {', '.join(names)}: {reason}")
    if quick(config):
        return
    save(rows, LATEST)
    terminalreporter.write_line(f"written to {LATEST}{_picture()}")


def _picture() -> str:
    """Draw latest.png; says so, or why not."""
    target = LATEST.with_suffix(".png")
    try:
        return f" and {target}" if draw([asdict(row) for row in rows], target) else ""
    except ImportError:
        return "; no picture: it takes matplotlib, pip install '.[bench]'"
