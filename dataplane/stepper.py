# SPDX-License-Identifier: BSD-3-Clause
"""Stepper: pipelines that run lap by lap in the caller's thread."""

from __future__ import annotations

from types import TracebackType

from dataplane.assembly import Assembly
from dataplane.errors import GraphError
from dataplane.lcore import DONE
from dataplane.machine import current_lcore, enter, leave
from dataplane.mempool import Mempool
from dataplane.runnable import Runnable
from dataplane.stage import Chain, Exit, Stage
from dataplane.stats import Readings, Report
from dataplane.taps import Tap, TapsOfRun, make_tap

__all__ = ["Stepper"]

_CHUNK = 65536  # laps between two looks for Ctrl-C


class Stepper:
    """Pipelines run lap by lap in the caller's thread, which is an lcore meanwhile: tests, and benchmarks of one core.

    A context manager: ports run, and apps are started, between its beginning and its end. profile: measure the cycles per
    packet of each app, for `Report.profile`.
    """

    def __init__(self, *pipelines: Runnable, profile: bool = False) -> None:
        self._pipelines = pipelines
        self._profile = profile
        self._assembly: Assembly | None = None
        self._taps = TapsOfRun(lambda: self._running().pipelines)
        self.report: Report | None = None

    def __enter__(self) -> Stepper:
        self._assembly = Assembly(self._pipelines, 1, profile=self._profile)
        self._entered = current_lcore() is None
        try:
            if self._entered:
                enter()
            self._loop, self._over = self._assembly.loops[0], False
            self._loop.open()
        except BaseException:
            self._undo(False)
            raise
        return self

    def step(self, laps: int = 1) -> int:
        """Poll all sources `laps` times; returns how many packets they made. Raises the error of a stage that failed."""
        before = self._loop.packets
        while laps > 0 and not self._over:
            self._over = self._loop.spin(min(laps, _CHUNK)) == DONE
            laps -= _CHUNK
        return self._loop.packets - before

    def finish(self) -> int:
        """Step until all sources are done; returns how many packets they made."""
        before = self._loop.packets
        while not self._over:
            self.step(_CHUNK)
        return self._loop.packets - before

    def replace(self, *pipelines: Runnable) -> None:
        """Go on with other pipelines; see `Run.replace`."""
        assembly = self._running()
        change = assembly.propose(pipelines)
        try:
            self._loop.expect(change.plans[0])
            self._loop.swap()
        except BaseException:
            self._loop.forget()
            assembly.cancel(change)
            raise
        change.settle(0)
        self._over = False
        assembly.commit(change)

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
        try:
            self._loop.close(raising=kind is None)
        finally:
            self._undo(kind is None)

    def _running(self) -> Assembly:
        if self._assembly is None:
            raise GraphError("this Stepper does not run yet: use it in a with block")
        return self._assembly

    def _undo(self, ok: bool) -> None:
        if self._entered and current_lcore() is not None:
            leave()
        self._taps.end()
        self.report = self._running().undo(ok)
