# SPDX-License-Identifier: BSD-3-Clause
"""Running pipelines: on lcores of their own (`Run`, `run`, `start`), or lap by lap in the caller's thread (`Stepper`).

A run checks everything, claims its stages, starts the ports that are not running, and then its lcores. However it ends, the
threads are joined, the stages free again and the ports it started stopped: only then is an error raised.
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
from typing import TYPE_CHECKING

from dataplane.app import app_error
from dataplane.clock import cycles, hz
from dataplane.errors import ConfigError, DataplaneError, GraphError, LcoreStuck
from dataplane.graph import Graph, takes_gil
from dataplane.lcore import DONE, Loop, Worker
from dataplane.machine import current_lcore, enter, leave
from dataplane.port import Port
from dataplane.stage import Stage
from dataplane.stats import Count, Readings, Report, Sampler, growth

if TYPE_CHECKING:
    from dataplane.pipeline import Pipeline

__all__ = ["Run", "Stepper", "run", "start"]

log = logging.getLogger("dataplane")

_TICK = 0.02  # s between two looks of the waiting thread: Ctrl-C and `until` are noticed in it
_CHUNK = 65536  # laps between two looks of the stepper for Ctrl-C
_PATIENCE = 5.0  # s that Ctrl-C waits for apps to return; at the interpreter's end it is _LAST_PATIENCE
_LAST_PATIENCE = 1.0
_FOLD = 10.0  # s between two readings of the ports' counters, so that none of a NIC's wraps twice unseen

Until = Callable[[], bool] | threading.Event | None

_lock = threading.Lock()
_claimed: dict[int, tuple[Stage, str]] = {}  # by id: a stage, and the pipeline that runs it
_ports: dict[int, tuple[Port, int]] = {}  # by id: a port that a run started, and how many runs use it
_warned: set[type] = set()
_running: weakref.WeakSet[Run] = weakref.WeakSet()


class _Setup:
    """What threads and the stepper share: graphs checked, stages claimed, ports started, loops bound; and that undone."""

    def __init__(self, pipelines: Sequence[Pipeline], lcores: int) -> None:
        if not pipelines:
            raise GraphError("nothing to run: give a Pipeline")
        self.pipelines = pipelines
        self.graphs = [pipeline.check() for pipeline in pipelines]
        labels: set[str] = set()
        for graph in self.graphs:
            graph.label(labels)
        self.name = " + ".join(pipeline.name for pipeline in pipelines)
        self.ports = list({id(port): port for graph in self.graphs for port in graph.ports}.values())
        shares = [list(range(lane, len(pipelines), lcores)) for lane in range(min(lcores, len(pipelines)))]
        self.loops = [self._loop(share) for share in shares]
        _claim(self.graphs)
        try:
            self._before = self.xstats()
            self._prepare()
            _start_ports(self.ports)
        except BaseException:
            _release(self.graphs)
            raise
        for pipeline, graph in zip(pipelines, self.graphs, strict=True):
            pipeline.graph = graph
        for loop in self.loops:
            loop.bind()

    def _prepare(self) -> None:
        """All checks of ports and apps, before the first of them changes anything."""
        for port in self.ports:
            port.prepare()
        for graph in self.graphs:
            for app in graph.apps:
                try:
                    app.prepare()
                except BaseException as error:
                    raise app_error(app, error, "prepare()") from error.__cause__

    def _loop(self, share: list[int]) -> Loop:
        graphs = [self.graphs[i] for i in share]
        return Loop(
            [app for graph in graphs for app in graph.apps],
            [link for graph in graphs for link in graph.links],
            [queue for graph in graphs for queue in graph.queues],
            busy=any(self.pipelines[i].busy for i in share),
        )

    def counts(self) -> tuple[dict[str, Count], dict[str, int]]:
        edges: dict[str, Count] = {}
        drops: dict[str, int] = {}
        for graph in self.graphs:
            edges |= graph.counts()
            drops |= graph.drops()
        return edges, drops

    def xstats(self) -> dict[str, dict[str, int]]:
        return {port.name: port.xstats() for port in self.ports}

    def _read_into(self, ports: dict[str, dict[str, int]]) -> list[BaseException]:
        """Keep the larger of what is there and what the ports say; returns what went wrong."""
        errors: list[BaseException] = []
        for port in self.ports:
            known = ports.setdefault(port.name, dict(self._before[port.name]))
            try:
                said = port.xstats()
            except DataplaneError as error:
                errors.append(error)
                continue
            for name, value in said.items():
                known[name] = max(value, known.get(name, 0))
        return errors

    def report(self, ok: bool, ports: dict[str, dict[str, int]]) -> Report:
        edges, drops = self.counts()
        began = min((loop.began for loop in self.loops if loop.began), default=0)
        ended = max(loop.ended or (cycles() if loop.began else 0) for loop in self.loops)
        return Report(
            app=self.name,
            seconds=max(ended - began, 0) / hz(),
            packets=sum(loop.packets for loop in self.loops),
            edges=edges,
            drops=drops,
            ports={name: growth(now, self._before[name]) for name, now in ports.items()},
            ok=ok,
        )

    def undo(self, ok: bool) -> Report:
        """Stop the ports and let go of the stages; returns the report. Raises what a port raises, after all of it."""
        report, errors = self._quiet(ok, lambda: _stop_ports(self.ports))
        for loop in self.loops:
            loop.unbind()
        for pipeline in self.pipelines:
            pipeline.report = report
        _release(self.graphs)
        if errors:
            raise errors[0]
        return report

    def abandon(self) -> tuple[Report, list[BaseException]]:
        """Of ports and stages that are polled for good: the report, and what the ports raised."""
        return self._quiet(False, lambda: _abandon_ports(self.ports))

    def _quiet(self, ok: bool, end: Callable[[], list[BaseException]]) -> tuple[Report, list[BaseException]]:
        errors: list[BaseException] = []
        ports: dict[str, dict[str, int]] = {}
        # Packets leave and arrive until a port stands still, and some ports forget what they counted when they stop.
        errors += self._read_into(ports)
        errors += end()
        self._read_into(ports)
        return self.report(ok and not errors, ports), errors


class Run:
    """Pipelines that run, each on one of `lcores` threads. Made by `start`.

    lcores: a CPU for each thread to be pinned to, None for one that is not pinned; pipelines are dealt out in turn.
    count: end when the sources of an lcore made that many packets. A context manager: it stops at the end of the block.
    """

    def __init__(
        self,
        pipelines: Sequence[Pipeline],
        *,
        lcores: Sequence[int | None] = (None,),
        count: int | None = None,
    ) -> None:
        if not lcores:
            raise ConfigError("no lcores to run on: name CPUs, or None for a thread that is not pinned")
        if count is not None and count < 0:
            raise ConfigError(f"count={count}: it cannot be negative")
        self._setup = _Setup(pipelines, len(lcores))
        self.report: Report | None = None
        self._over = threading.Event()
        self._closing = threading.Lock()
        self._folded = monotonic()
        _warn_of_python(self._setup.graphs)
        self._workers = [
            Worker(loop, cpu=cpu, count=count, ended=self._look)
            for loop, cpu in zip(self._setup.loops, lcores, strict=False)
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
        """What the sources have made so far."""
        return sum(loop.packets for loop in self._setup.loops)

    def read(self) -> Readings:
        """Edges, drops and xstats as they are now."""
        return (*self._setup.counts(), self._setup.xstats())

    def sampler(self) -> Sampler:
        """What a live display polls."""
        return Sampler(self.read)

    def wait(self, seconds: float | None = None, until: Until = None) -> bool:
        """Wait until all lcores are over: at most `seconds`, or until `until` holds. Returns whether they are over."""
        deadline = None if seconds is None else monotonic() + seconds
        holds = until.is_set if isinstance(until, threading.Event) else until
        while not self._over.is_set():
            left = _TICK if deadline is None else min(_TICK, deadline - monotonic())
            if left <= 0 or (holds is not None and holds()):
                break
            self._over.wait(left)
            if monotonic() - self._folded > _FOLD:
                self._folded = monotonic()
                self._setup.xstats()
        return self._over.is_set()

    def stop(self, timeout: float | None = None) -> Report:
        """Stop the lcores and clean up. Raises what stopped one of them before; the second call returns the report again.

        timeout: s to wait for apps to return, None: as long as they take. Raises LcoreStuck when one has not by then;
        nothing is cleaned up yet: call it again, or `abandon`.
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
            self.report, errors = self._setup.abandon()
            for error in errors:
                log.error("%s: %s", self._setup.name, error)
            return self.report

    def join(self, timeout: float | None = None) -> Report:
        """Wait until the lcores are over by themselves, and clean up. Raises ConfigError when `timeout` s are over first."""
        if not self.wait(timeout):
            raise ConfigError(f"{self._setup.name} still runs after {timeout} s: stop() it, or wait longer")
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
        """Stop the lcores because of an error that is on its way: what goes wrong in that is told in the log."""
        try:
            self._end(_PATIENCE)
        except KeyboardInterrupt:
            log.error("%s: interrupted while it stopped: %s", self._setup.name, self._where_stuck())
        except BaseException as other:
            log.error("%s: %s", self._setup.name, other)

    def _look(self) -> None:
        """Called by a worker that ends: one that failed ends all; the last one wakes who waits."""
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
                raise LcoreStuck(f"{self._setup.name} does not stop: {stuck}")
            self._over.set()
            _running.discard(self)
            errors = [worker.error for worker in self._workers if worker.error is not None]
            try:
                self.report = self._setup.undo(ok=not errors)
            except BaseException as error:
                self.report = self.report or self._setup.pipelines[0].report
                errors.append(error)
            for other in errors[1:]:
                log.error("%s: %s", self._setup.name, other)
            if errors:
                raise errors[0]
            assert self.report is not None
            return self.report


def start(*pipelines: Pipeline, lcores: Sequence[int | None] = (None,), count: int | None = None) -> Run:
    """Start pipelines on lcores; see `Run`."""
    return Run(pipelines, lcores=lcores, count=count)


def run(
    *pipelines: Pipeline,
    lcores: Sequence[int | None] = (None,),
    seconds: float | None = None,
    count: int | None = None,
    until: Until = None,
) -> Report:
    """Run pipelines until all their sources are done, or `seconds` are over, or `until` (a callable or an Event) holds.

    Raises what stopped an lcore; on Ctrl-C everything is stopped first, and then KeyboardInterrupt is raised.
    """
    with start(*pipelines, lcores=lcores, count=count) as running:
        running.wait(seconds, until)
        return running.stop()


class Stepper:
    """Pipelines run lap by lap in the caller's thread, which is an lcore meanwhile: tests, and benchmarks of one core.

    A context manager: ports run, and apps are started, between its beginning and its end.
    """

    def __init__(self, *pipelines: Pipeline) -> None:
        self._pipelines = pipelines
        self.report: Report | None = None

    def __enter__(self) -> Stepper:
        self._setup = _Setup(self._pipelines, 1)
        self._entered = current_lcore() is None
        try:
            if self._entered:
                enter()
            self._loop, self._over = self._setup.loops[0], False
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

    def read(self) -> Readings:
        """Edges, drops and xstats as they are now."""
        return (*self._setup.counts(), self._setup.xstats())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._loop.close(raising=kind is None)
        finally:
            self._undo(kind is None)

    def _undo(self, ok: bool) -> None:
        if self._entered and current_lcore() is not None:
            leave()
        self.report = self._setup.undo(ok)


@atexit.register
def _stop_all() -> None:
    """A program that ends stops what it started: an lcore must not poll memory that is on its way out."""
    for running in list(_running):
        try:
            running.stop(_LAST_PATIENCE)
        except BaseException as error:  # Ctrl-C too: the interpreter ends anyhow
            log.error("%s", str(error) or type(error).__name__)


def _is_up(worker: Worker) -> bool:
    """Whether its thread runs or ran: one whose start was interrupted is there in a moment, or never."""
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


def _claim(graphs: list[Graph]) -> None:
    """Make the stages of the graphs ours. Raises GraphError if one runs already, or is in two of the graphs."""
    with _lock:
        mine: dict[int, tuple[Stage, str]] = {}
        for graph in graphs:
            for stage in graph.stages:
                key = id(stage)
                if key in _claimed or key in mine:
                    other = (_claimed.get(key) or mine[key])[1]
                    running = ", which is running" if key in _claimed else ""
                    raise GraphError(
                        f"{stage!r} is in {graph.name} and in {other}{running}: one lcore at a time may use it; "
                        "put both chains into one Pipeline, or take another queue or app"
                    )
                mine[key] = (stage, graph.name)
        _claimed.update(mine)


def _release(graphs: list[Graph]) -> None:
    with _lock:
        for graph in graphs:
            for stage in graph.stages:
                _claimed.pop(id(stage), None)


def _start_ports(ports: list[Port]) -> None:
    """Start those that are not running; those that an earlier run started stay until the last run is over."""
    done: list[Port] = []
    try:
        for port in ports:
            with _lock:
                users = _ports.get(id(port), (port, 0))[1]
            if users or not port.started:
                port.start()
                with _lock:
                    _ports[id(port)] = (port, users + 1)
                done.append(port)
    except BaseException:
        for error in _stop_ports(done):
            log.error("%s", error)
        raise


def _stop_ports(ports: list[Port]) -> list[BaseException]:
    """Undo `_start_ports`; returns what went wrong."""
    errors: list[BaseException] = []
    for port in ports:
        with _lock:
            users = _ports.get(id(port), (port, 0))[1]
            if users > 1:
                _ports[id(port)] = (port, users - 1)
            else:
                _ports.pop(id(port), None)
        if users == 1:
            try:
                port.stop()
            except Exception as error:
                errors.append(error)
    return errors


def _abandon_ports(ports: list[Port]) -> list[BaseException]:
    """Tell the running ones that the process ends; returns what went wrong."""
    errors: list[BaseException] = []
    for port in ports:
        if port.started:
            try:
                port.abandon()
            except DataplaneError as error:
                errors.append(error)
    return errors


def _warn_of_python(graphs: list[Graph]) -> None:
    """Once for each class of app."""
    for graph in graphs:
        for app in graph.apps:
            if takes_gil(app) and type(app) not in _warned:
                _warned.add(type(app))
                log.warning(
                    "%s runs Python for each burst: other busy threads of Python stall its lcore by 5 ms", app
                )
