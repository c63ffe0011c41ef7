# SPDX-License-Identifier: BSD-3-Clause
"""Pipeline: chains of stages that one or several lcores run.

Making a pipeline touches no port and no app; `run` and `start` check the whole graph before the first packet. Chains of a
pipeline may meet in an app or a Tx queue. A stage is in one running pipeline at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from dataplane.app import App
from dataplane.engine.running import Run, Until, run
from dataplane.engine.stepper import Stepper
from dataplane.errors import ConfigError, GraphError
from dataplane.explain import explain
from dataplane.graph.graph import Graph
from dataplane.graph.handoff import HANDOFF_SLOTS
from dataplane.graph.stage_options import Full, Lcore
from dataplane.graph.taps import Tap, make_tap
from dataplane.mempool import Mempool
from dataplane.reports.stats import Report
from dataplane.stage import Chain, Exit, Stage

__all__ = ["Pipeline"]


class Pipeline:
    """Chains of stages, to be run together. chains: what ``>>`` returns. name: for reports and errors.

    lossless: packets wait for room in Tx queues and hand-offs, instead of being dropped.
    burst: packets taken from an Rx queue at once, 1 to 256.
    lcores: where stages (apps, queues) run: a CPU, or a name for a thread that is not pinned. A stage that is not named runs
        with the one before it, and the beginning of a chain on the lcore that `run` is given. An edge from one lcore to
        another is a hand-off: a ring with one producer and one consumer.
    full: what happens to packets for a hand-off whose ring is full: "drop" (counted with the reason "full"; the default) or
        "wait". Or a mapping from stages to one of these, for the hand-offs that lead to the stage.
    handoff_slots: size of that ring, a power of two from 2 to 2**24. A burst of n packets takes n + 1 slots.

    After a run, `report` is its Report, and `graph` the Graph that ran.
    """

    def __init__(
        self,
        *chains: Chain | Stage,
        name: str | None = None,
        lossless: bool = False,
        burst: int = 32,
        lcores: Mapping[Stage, Lcore] = MappingProxyType({}),
        full: Full = None,
        handoff_slots: int = HANDOFF_SLOTS,
    ) -> None:
        self.chains = chains
        self.name = name if name is not None else "pipeline"
        self.lossless = lossless
        self.burst = burst
        self.taps: list[Tap] = []
        self.lcores = lcores
        self.full = full
        self.handoff_slots = handoff_slots
        self.report: Report | None = None
        self.graph: Graph | None = None
        self._run: Run | None = None

    def check(self, wrapped: Mapping[int, App] = MappingProxyType({})) -> Graph:
        """Put the chains together without touching a stage. Raises GraphError.

        wrapped: for a run that this pipeline may join, the apps that wrap queues there, by id of the queue.
        """
        return Graph.of(
            self.chains,
            name=self.name,
            lossless=self.lossless,
            burst=self.burst,
            taps=self.taps,
            lcores=self.lcores,
            full=self.full,
            slots=self.handoff_slots,
            wrapped=wrapped,
        )

    def lane(self, chains: Sequence[Chain | Stage]) -> Pipeline:
        """Other chains with the same name, burst and `lossless`: a lane of a run on several lcores. It has no taps."""
        return type(self)(*chains, name=self.name, lossless=self.lossless, burst=self.burst)

    def run(
        self,
        lcore: int | None = None,
        *,
        lcores: Sequence[int | None] | None = None,
        seconds: float | None = None,
        count: int | None = None,
        until: Until = None,
        profile: bool = False,
        idle: str = "yield",
    ) -> Report:
        """Run on the CPU `lcore` (None: not pinned) until the sources are done or have taken or made `count` packets, or
        `seconds` are over, or `until` (a callable or an Event) holds.

        lcores: several CPUs instead of one, with a lane on each: queues of its own, and clones of the apps (`App.clone`).
        RSS spreads packets over the lanes. `count` applies to each lane.
        profile: measure the cycles per packet of each app, for `Report.profile` and `explain`.
        idle: what the lcore does while no packet comes: "spin" (poll on: for CPUs that are isolated), "yield" (offer the CPU
        to other threads), "sleep" (up to 100 us at a time), or "sleep" with another bound, such as "sleep:20us".

        Raises GraphError, what a port or an app raises, and KeyboardInterrupt: see `run`.
        """
        return run(
            self,
            lcores=_lcores(lcore, lcores),
            seconds=seconds,
            count=count,
            until=until,
            profile=profile,
            idle=idle,
        )

    def start(
        self,
        lcore: int | None = None,
        *,
        lcores: Sequence[int | None] | None = None,
        count: int | None = None,
        profile: bool = False,
        idle: str = "yield",
    ) -> Run:
        """Like `run`, but return at once. `stop` ends the run; `join` waits until it ends by itself."""
        self._run = Run((self,), lcores=_lcores(lcore, lcores), count=count, profile=profile, idle=idle)
        return self._run

    def stop(self) -> Report | None:
        """Stop the run of `start`; returns its report, None without a run. Raises the error if one has stopped it before."""
        return None if self._run is None else self._run.stop()

    def join(self, timeout: float | None = None) -> Report | None:
        """Wait until the run of `start` ends by itself; returns its report. timeout: s, then raises ConfigError."""
        return None if self._run is None else self._run.join(timeout)

    def stepper(self, *, profile: bool = False, idle: str = "yield") -> Stepper:
        """Run it lap by lap in this thread: ``with pipeline.stepper() as stepper: stepper.step(10)``."""
        return Stepper(self, profile=profile, idle=idle)

    def tap(
        self, edge: Stage | Exit, to: Stage | Chain, *, name: str = "tap", mempool: Mempool | None = None
    ) -> Tap:
        """Copy the packets that pass an edge to `to`, from the next run on. For a pipeline that runs, see `Run.tap`."""
        tap = make_tap(edge, to, name, mempool)
        self.taps.append(tap)
        return tap

    def untap(self, tap: Tap) -> None:
        """Remove a tap, from the next run on. Raises GraphError if this pipeline does not have it."""
        if tap not in self.taps:
            raise GraphError(f"{tap!r} is not set in {self.name}")
        self.taps.remove(tap)

    def explain(self, format: str = "text") -> str:
        """A picture of the graph, with the counters of the last run, and its rates once it is over.

        format: "text", or "svg" for an SVG document. Raises GraphError, and ConfigError for another format.
        """
        graph = self.graph if self.graph is not None else self.check()
        return explain(self.name, [graph], self.report, format)

    def __repr__(self) -> str:
        return f"<Pipeline {self.name}: {'; '.join(map(repr, self.chains))}>"


def _lcores(lcore: int | None, lcores: Sequence[int | None] | None) -> Sequence[int | None]:
    """The lcores of a run."""
    if lcores is None:
        return (lcore,)
    if lcore is not None:
        raise ConfigError(f"lcore={lcore} and lcores={lcores!r}: give one of them")
    return lcores
