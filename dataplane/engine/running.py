# SPDX-License-Identifier: BSD-3-Clause
"""Running pipelines on lcores of their own: `Run`, `run`, `start`.

A run checks everything, claims its stages, starts the ports that are not running, and then its lcores. At its end the
threads are joined, the stages released and the ports that it started stopped. Then an error is raised, if there was one. Two
ends clean up nothing: `LcoreStuck` is raised while an app does not return, and `abandon` leaves such a thread alone.
"""

from __future__ import annotations

import atexit
import logging
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType

from dataplane.engine.assembly import Assembly
from dataplane.engine.replacing import replace
from dataplane.engine.runnable import Runnable
from dataplane.engine.worker import Worker
from dataplane.errors import ConfigError, GraphError, LcoreStuck, check_new
from dataplane.explain import explain
from dataplane.graph.graph import Graph, takes_gil
from dataplane.graph.lanes import Lanes
from dataplane.graph.placing import lcore_names
from dataplane.graph.stage_options import Lcore
from dataplane.graph.taps import Tap, TapsOfRun, make_tap
from dataplane.mempool import Mempool
from dataplane.reports.stats import Readings, Report, Sampler
from dataplane.stage import Chain, Exit, Stage

__all__ = ["Run", "run", "start"]

log = logging.getLogger("dataplane")

_TICK = 0.02  # s between two looks of the waiting thread: Ctrl-C and `until` are noticed in it
_PATIENCE = 5.0  # s that Ctrl-C waits for apps to return; at the interpreter's end it is _LAST_PATIENCE
_LAST_PATIENCE = 1.0
_FOLD = 10.0  # s between two readings of the ports' counters, so that none of a NIC's wraps twice unseen

Until = Callable[[], bool] | threading.Event | None

_warned: set[type] = set()
_running: weakref.WeakSet[Run] = weakref.WeakSet()


class Run:
    """A run: pipelines, and the lcore threads that poll them. Made by `start` and `Pipeline.start`.

    lcores: a CPU for each thread to be pinned to, None for one that is not pinned; pipelines are dealt out in turn. One
    pipeline on several lcores has a lane on each, see `Pipeline.run`. Raises GraphError for a CPU on which no stage would
    run. count: end when the sources of an lcore made that many packets. profile: measure the cycles per packet of each
    app, for `Report.profile`. idle: what lcores do while no packet comes, see `Pipeline.run`. A context manager: it stops at
    the end of the block.
    """

    def __init__(
        self,
        pipelines: Sequence[Runnable],
        *,
        lcores: Sequence[int | None] = (None,),
        count: int | None = None,
        profile: bool = False,
        idle: str = "yield",
    ) -> None:
        check_new(self, "_assembly")
        if not lcores:
            raise ConfigError("no lcores to run on: name CPUs, or None for a thread that is not pinned")
        if count is not None and count < 0:
            raise ConfigError(f"count={count}: it cannot be negative")
        self._lanes = Lanes(len(lcores) if len(pipelines) == 1 else 1)
        pipelines = self._lanes.of(pipelines)
        self._assembly = Assembly(pipelines, lcores, profile=profile, idle=idle, names=_names)
        self._lanes.settle()
        self.report: Report | None = None
        self._over = threading.Event()
        self._closing = threading.Lock()
        self._changing = threading.Lock()
        self._taps = TapsOfRun(lambda: self._assembly.pipelines)
        self._folded = monotonic()
        _warn_of_python(self._assembly.graphs)
        self._workers = [
            Worker(
                loop,
                cpu=lcore if isinstance(lcore, int) else None,
                name=lcore if isinstance(lcore, str) else "any",
                count=count,
                ended=self._look,
            )
            for loop, lcore in zip(self._assembly.loops, self._assembly.lcores, strict=True)
        ]
        self._started: list[Worker] = []
        _running.add(self)
        try:
            for worker in self._workers:
                self._started.append(
                    worker
                )  # before: Ctrl-C may come when the thread is there, and `start` not over
                try:
                    worker.start()
                except RuntimeError:
                    self._started.remove(worker)  # there is no thread
                    raise
        except BaseException:
            self._end_for_error()
            raise

    @property
    def running(self) -> bool:
        """Whether an lcore still polls."""
        return not self._over.is_set()

    @property
    def packets(self) -> int:
        """Packets that the sources have received or generated so far."""
        return sum(loop.packets for loop in self._assembly.loops)

    def read(self) -> Readings:
        """Edges, drops and xstats as they are now."""
        return (*self._assembly.counts(), self._assembly.xstats())

    def explain(self, format: str = "text") -> str:
        """A picture of the running pipelines with their present counters and rates. format: see `Pipeline.explain`."""
        report = self.report or self._assembly.report(True, {})
        return explain(self._assembly.name, self._assembly.graphs, report, format)

    def sampler(self) -> Sampler:
        """A Sampler of this run, for a live display."""
        return Sampler(self.read)

    def wait(self, seconds: float | None = None, until: Until = None) -> bool:
        """Wait until all lcores have ended, `seconds` have passed or `until` holds. Returns whether they have ended."""
        deadline = None if seconds is None else monotonic() + seconds
        holds = until.is_set if isinstance(until, threading.Event) else until
        while not self._over.is_set():
            left = _TICK if deadline is None else min(_TICK, deadline - monotonic())
            if left <= 0 or (holds is not None and holds()):
                break
            self._over.wait(left)
            if monotonic() - self._folded > _FOLD:
                self._folded = monotonic()
                self._assembly.xstats()
        return self._over.is_set()

    def replace(self, *pipelines: Runnable, timeout: float = 5.0) -> None:
        """Replace the pipelines of the run: every lcore swaps its plan between two laps. Ports of both stay up.

        Pipelines are dealt out to the lcores as at the start. An app that is in both (the same object) keeps its state and
        its counters, and so does a queue; it must stay on its lcore. Apps that come are started first: if that fails, the
        old pipelines go on. Then the Rx queues that leave are polled until they are empty (at most 1,024 bursts), and the
        apps that leave send what they hold and are stopped. Their counts stay in the report. Lcores swap in their order:
        name pipelines that send into a ring before those that receive from it, or packets left in a ring that leaves are
        counted in its `rx_missed_errors`.

        Errors while old apps and ports stop go to the log.

        timeout: s that a lap may take. Raises GraphError for pipelines that cannot run here, what a port or an app raises,
        and LcoreStuck; nothing has changed then, unless the run has ended too (`running`).
        """
        with self._changing:
            self._check_running()
            self._replace(pipelines, timeout)

    def _check_running(self) -> None:
        if self._over.is_set():
            raise GraphError(f"{self._assembly.name} is over: start the new pipelines")

    def _replace(self, pipelines: Sequence[Runnable], timeout: float) -> None:
        replace(self._assembly, self._lanes.of(pipelines), timeout)
        self._lanes.settle()
        _warn_of_python(self._assembly.graphs)

    def tap(
        self,
        edge: Stage | Exit,
        to: Stage | Chain,
        *,
        name: str = "tap",
        mempool: Mempool | None = None,
        timeout: float = 5.0,
    ) -> Tap:
        """Copy the packets that pass an edge to `to`, until `untap` or the end of the run.

        edge: a stage, for its first edge, or ``app["name"]``; to: an app, a Tx queue or a chain that begins with one;
        name: in reports; mempool: where copies come from, None: a pool of 4,096 mbufs; timeout: as in `replace`.
        The packets do not wait: one for which the pool has no mbuf goes on without a copy, counted as the drop "no_mbuf".

        Raises GraphError for an edge that is not in this run, and what `replace` raises; nothing has changed then.
        """
        with self._changing:
            self._check_running()
            return self._taps.add(make_tap(edge, to, name, mempool), lambda: self._again(timeout))

    def untap(self, tap: Tap, timeout: float = 5.0) -> None:
        """Remove a tap. Its apps first send the packets that they hold; their counts stay in the report.

        Raises GraphError for a tap that is not set, and what `replace` raises; nothing has changed then.
        """
        with self._changing:
            self._check_running()
            self._taps.remove(tap, lambda: self._again(timeout))

    def _again(self, timeout: float) -> None:
        """Replace the pipelines by themselves: their taps have changed."""
        self._replace(self._assembly.pipelines, timeout)

    def stop(self, timeout: float | None = None) -> Report:
        """Stop the lcores and clean up. Raises the error that stopped one before. A second call returns the report again.

        timeout: s to wait for apps to return; None: as long as they take. Raises LcoreStuck if one has not returned by
        then. Nothing is cleaned up in that case: call `stop` again, or `abandon`.
        """
        return self._end(timeout)

    def abandon(self) -> Report:
        """Give up lcores that do not stop, for a program that ends at once (`os._exit`). Returns what is known, not ok.

        Ports are stopped, and compiled apps of those lcores, so that captures are whole. An app in Python that has not
        returned is left as it is, and its memory stays: the stages remain claimed.
        """
        with self._closing:
            if self.report is not None:
                return self.report
            for worker in self._started:
                worker.loop.stop()
                if worker.is_alive():
                    worker.loop.stop_compiled()
            self._over.set()
            _running.discard(self)
            self.report, errors = self._assembly.abandon()
            for error in errors:
                log.error("%s: %s", self._assembly.name, error)
            return self.report

    def join(self, timeout: float | None = None) -> Report:
        """Wait until the lcores end by themselves, and clean up. Raises ConfigError if that takes more than `timeout` s."""
        if not self.wait(timeout):
            raise ConfigError(
                f"{self._assembly.name} still runs after {timeout} s: stop() it, or wait longer"
            )
        return self._end()

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._end()
            return
        self._end_for_error()

    def _end_for_error(self) -> None:
        """Stop the lcores while an error is being raised: further errors go to the log, so that they do not replace it."""
        try:
            self._end(_PATIENCE)
        except KeyboardInterrupt:
            log.error("%s: interrupted while it stopped: %s", self._assembly.name, self._where_stuck())
        except BaseException as other:
            log.error("%s: %s", self._assembly.name, other)

    def _look(self) -> None:
        """Called by a worker that ends: one that failed stops all others; the last one wakes the threads in `wait`."""
        workers = self._workers
        if any(worker.error is not None for worker in workers):
            for worker in workers:
                worker.loop.stop()
        if all(worker.over for worker in workers):
            self._over.set()

    def _where_stuck(self) -> str:
        """The lcores that still run, each with the function of Python that it is in."""
        alive = [worker for worker in self._started if worker.is_alive()]
        return ", ".join(f"{worker.name} has not returned from {_place(worker)}" for worker in alive)

    def _end(self, timeout: float | None = None) -> Report:
        with self._closing:
            if self.report is not None:
                return self.report
            for worker in self._workers:
                worker.loop.stop()
            deadline = None if timeout is None else monotonic() + timeout
            for worker in self._started:
                if _is_up(worker):
                    worker.join(None if deadline is None else max(deadline - monotonic(), 0.0))
            if stuck := self._where_stuck():
                raise LcoreStuck(f"{self._assembly.name} does not stop: {stuck}")
            self._over.set()
            _running.discard(self)
            with self._changing:  # a `replace` notices at once that the lcores are over
                pass
            self._taps.end()
            errors = [worker.error for worker in self._workers if worker.error is not None]
            try:
                self.report = self._assembly.undo(ok=not errors)
            except BaseException as error:
                self.report = self.report or self._assembly.pipelines[0].report
                errors.append(error)
            for other in errors[1:]:
                log.error("%s: %s", self._assembly.name, other)
            if errors:
                raise errors[0]
            assert self.report is not None
            return self.report


def start(
    *pipelines: Runnable,
    lcores: Sequence[int | None] = (None,),
    count: int | None = None,
    profile: bool = False,
    idle: str = "yield",
) -> Run:
    """Start pipelines on lcores, and return at once. For the parameters and errors see `Run`."""
    return Run(pipelines, lcores=lcores, count=count, profile=profile, idle=idle)


def run(
    *pipelines: Runnable,
    lcores: Sequence[int | None] = (None,),
    seconds: float | None = None,
    count: int | None = None,
    until: Until = None,
    profile: bool = False,
    idle: str = "yield",
) -> Report:
    """Run pipelines until all their sources are done, or `seconds` are over, or `until` (a callable or an Event) holds.

    profile, idle: see `Run`. Raises what stopped an lcore. On Ctrl-C the lcores get 5 s to stop, and then
    KeyboardInterrupt is raised; an app that has not returned by then is named in the log.
    """
    with start(*pipelines, lcores=lcores, count=count, profile=profile, idle=idle) as running:
        running.wait(seconds, until)
        return running.stop()


@atexit.register
def _stop_all() -> None:
    """A program that ends stops what it started: an lcore must not poll memory that is about to be freed."""
    for running in list(_running):
        try:
            running.stop(_LAST_PATIENCE)
        except BaseException as error:  # Ctrl-C too: the interpreter ends anyhow
            log.error("%s", str(error) or type(error).__name__)


def _names(lcores: Sequence[Lcore]) -> list[str]:
    """What pictures call the lcores: by their CPUs or names."""
    numbers = iter(range(1, len(lcores) + 1))
    several = lcores.count(None) > 1
    free = (f"unpinned lcore {next(numbers)}" if several else "an unpinned lcore" for _ in lcores)
    return [name or next(free) for name in lcore_names(lcores)]


def _is_up(worker: Worker) -> bool:
    """Whether its thread runs or ran. If its start was interrupted, the thread appears within a moment or not at all."""
    deadline = monotonic() + 1.0
    while not (worker.is_alive() or worker.over) and monotonic() < deadline:
        sleep(0.001)
    return worker.is_alive() or worker.over


def _place(worker: Worker) -> str:
    """The function of Python that its thread is in."""
    frame = sys._current_frames().get(worker.ident or 0)
    if frame is None or frame.f_code.co_filename == threading.__file__:
        return "a compiled function"
    return f"{frame.f_code.co_name}() at {Path(frame.f_code.co_filename).name}:{frame.f_lineno}"


def _warn_of_python(graphs: list[Graph]) -> None:
    """Once for each class of app."""
    for graph in graphs:
        for app in graph.apps:
            if takes_gil(app) and type(app) not in _warned:
                _warned.add(type(app))
                log.warning(
                    "%s runs Python for each burst: other busy threads of Python stall its lcore by 5 ms", app
                )
