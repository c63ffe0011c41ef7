# SPDX-License-Identifier: BSD-3-Clause
"""Stepper: pipelines that run lap by lap in the caller's thread."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import TracebackType

from dataplane.engine.assembly import Assembly
from dataplane.engine.lcore import DONE, Loop
from dataplane.engine.runnable import Runnable
from dataplane.engine.stepping import run_laps_by_turns
from dataplane.errors import GraphError, check_new
from dataplane.graph.taps import Tap, TapsOfRun, make_tap
from dataplane.machine import current_lcore, enter, leave
from dataplane.mempool import Mempool
from dataplane.reports.stats import Readings, Report
from dataplane.stage import Chain, Exit, Stage

__all__ = ["Stepper"]

_CHUNK = 65536  # laps between two looks for Ctrl-C


class Stepper:
    """Pipelines run lap by lap in the caller's thread, which is an lcore meanwhile: tests, and benchmarks of one core.

    A context manager: ports run, and apps are started, between its beginning and its end. profile: measure the cycles per
    packet of each app, for `Report.profile`. idle: what it does after laps that find nothing, see `Pipeline.run`.
    """

    def __init__(self, *pipelines: Runnable, profile: bool = False, idle: str = "yield") -> None:
        check_new(self, "_pipelines")
        self._pipelines = pipelines
        self._profile, self._idle = profile, idle
        self._assembly: Assembly | None = None
        self._taps = TapsOfRun(lambda: self._running().pipelines)
        self.report: Report | None = None

    def __enter__(self) -> Stepper:
        self._assembly = Assembly(self._pipelines, (None,), profile=self._profile, idle=self._idle)
        self._entered = current_lcore() is None
        self._loops, self._over = self._assembly.loops, False
        opened: list[Loop] = []
        try:
            if self._entered:
                enter()
            for loop in self._loops:
                loop.open()
                opened.append(loop)
        except BaseException:
            for loop in opened:
                loop.close(raising=False)
            self._undo(False)
            raise
        return self

    @property
    def _packets(self) -> int:
        return sum(loop.packets for loop in self._loops)

    def step(self, laps: int = 1) -> int:
        """Poll all sources `laps` times; returns how many packets they made. Raises the error of a stage that failed.

        If the pipelines have several lcores, each does a lap in turn; then hand-offs are emptied.
        """
        before = self._packets
        while laps > 0 and not self._over:
            if len(self._loops) == 1:
                self._over = self._loops[0].run_laps(min(laps, _CHUNK)) == DONE
            else:
                self._over = run_laps_by_turns(self._loops, min(laps, _CHUNK))
            laps -= _CHUNK
        return self._packets - before

    def finish(self) -> int:
        """Step until all sources are done; returns how many packets they made."""
        before = self._packets
        while not self._over:
            self.step(_CHUNK)
        return self._packets - before

    def replace(self, *pipelines: Runnable) -> None:
        """Go on with other pipelines; see `Run.replace`."""
        assembly = self._running()
        change = assembly.propose(pipelines)
        expecting: list[Loop] = []
        try:
            for loop, plan in zip(self._loops, change.plans, strict=True):
                expecting.append(loop)
                loop.expect(plan)
            self._empty()
            for number, loop in enumerate(self._loops):
                loop.swap()
                change.settle(number)
        except BaseException:
            for loop in expecting:
                loop.forget()
            assembly.cancel(change)
            raise
        self._over = False
        assembly.commit(change)

    def _empty(self) -> None:
        """Let apps send what they hold, and hand-offs what is in them: through each lcore at most."""
        if len(self._loops) > 1:
            run_laps_by_turns(self._loops, len(self._loops) + 1, ending=True)

    def tap(
        self, edge: Stage | Exit, to: Stage | Chain, *, name: str = "tap", mempool: Mempool | None = None
    ) -> Tap:
        """Copy the packets that pass an edge; see `Run.tap`."""
        return self._taps.add(make_tap(edge, to, name, mempool), self._again)

    def untap(self, tap: Tap) -> None:
        """Remove a tap; see `Run.untap`."""
        self._taps.remove(tap, self._again)

    def _again(self) -> None:
        self.replace(*self._running().pipelines)

    def read(self) -> Readings:
        """Edges, drops and xstats as they are now."""
        assembly = self._running()
        return (*assembly.counts(), assembly.xstats())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        first: BaseException | None = None
        ends: list[Callable[[], object]] = [self._empty] if kind is None else []
        ends += [partial(loop.close, raising=kind is None) for loop in self._loops]
        for end in ends:
            try:
                end()
            except BaseException as other:
                first = first or other
        self._undo(kind is None)
        if first is not None:
            raise first

    def _running(self) -> Assembly:
        if self._assembly is None:
            raise GraphError("this Stepper does not run yet: use it in a with block")
        return self._assembly

    def _undo(self, ok: bool) -> None:
        if self._entered and current_lcore() is not None:
            leave()
        self._taps.end()
        self.report = self._running().undo(ok)
