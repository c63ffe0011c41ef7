# SPDX-License-Identifier: BSD-3-Clause
"""Leases of runs: a stage is in one run at a time; the first run that needs a port starts it, and the last one stops it.

A port that the program has started itself is left as it is.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from dataplane.errors import DataplaneError, GraphError
from dataplane.graph.graph import Graph
from dataplane.port import Port
from dataplane.stage import Stage

__all__ = ["abandon_ports", "claim", "is_alone", "name_of_run", "release", "start_ports", "stop_ports"]

log = logging.getLogger("dataplane")

_lock = threading.Lock()
_claimed: dict[int, tuple[Stage, str]] = {}  # by id: a stage, and the pipeline that runs it
_leases: dict[int, _Lease] = {}  # by id: of the ports that runs have started


class _Lease:
    """Of one port. users: runs that use it; ever: runs that have used it since the first started it.

    lock: held while the port starts or stops; another run waits for the outcome.
    """

    def __init__(self, port: Port) -> None:
        self.port = port
        self.users = self.ever = 0
        self.lock = threading.Lock()


def claim(graphs: Iterable[Graph], known: Iterable[Stage] = ()) -> list[Stage]:
    """Make the stages of the graphs ours, except those that we have already (`known`); returns those that are new.

    Raises GraphError, and claims nothing, if one of them is in another run, or in two of the graphs.
    """
    held = {id(stage) for stage in known}
    seen: dict[int, tuple[Stage, str]] = {}
    with _lock:
        for graph in graphs:
            for stage in graph.stages:
                key = id(stage)
                running = key in _claimed and key not in held
                if running or key in seen:
                    other = (_claimed[key] if running else seen[key])[1]
                    raise GraphError(
                        f"{stage!r} is in {graph.name} and in {other}{', which is running' if running else ''}: "
                        "one lcore at a time may use it; put both chains into one Pipeline, or take another queue or app"
                    )
                seen[key] = (stage, graph.name)
        new = {key: value for key, value in seen.items() if key not in held}
        _claimed.update(new)
    return [stage for stage, _ in new.values()]


def release(stages: Iterable[Stage]) -> None:
    """Other runs may have these stages."""
    with _lock:
        for stage in stages:
            _claimed.pop(id(stage), None)


def name_of_run(stage: Stage) -> str | None:
    """The name of the pipeline that runs a stage now, or None."""
    with _lock:
        return _claimed[id(stage)][1] if id(stage) in _claimed else None


def start_ports(ports: Iterable[Port]) -> list[Port]:
    """Start the ports that are not started; returns those for which the caller must call `stop_ports`.

    Raises what a port raises; those that were started before it are stopped again.
    """
    done: list[Port] = []
    try:
        for port in ports:
            with _lease(port) as lease:
                if lease.users or not port.started:
                    port.start()
                    lease.users += 1
                    lease.ever += 1
                    done.append(port)
    except BaseException:
        for error in stop_ports(done):
            log.error("%s", error)
        raise
    return done


def stop_ports(ports: Iterable[Port]) -> list[BaseException]:
    """Undo `start_ports`: those that no other run uses are stopped. Returns what went wrong."""
    errors: list[BaseException] = []
    for port in ports:
        with _lease(port) as lease:
            lease.users -= 1
            if lease.users == 0:
                try:
                    port.stop()
                except Exception as error:
                    errors.append(error)
    return errors


def is_alone(port: Port) -> bool:
    """Whether one run has used a port since it was started, and that run started it."""
    with _lock:
        lease = _leases.get(id(port))
        return lease is not None and lease.users == lease.ever == 1


def abandon_ports(ports: Iterable[Port]) -> list[BaseException]:
    """Tell the running ones that the process ends; returns what went wrong."""
    errors: list[BaseException] = []
    for port in ports:
        if port.started:
            try:
                port.abandon()
            except DataplaneError as error:
                errors.append(error)
    return errors


@contextmanager
def _lease(port: Port) -> Iterator[_Lease]:
    """The lease of a port, locked. It is kept while it has users."""
    while True:
        with _lock:
            lease = _leases.setdefault(id(port), _Lease(port))
        with lease.lock:
            if _leases.get(id(port)) is not lease:
                continue  # its last user ended while we waited
            try:
                yield lease
            finally:
                if lease.users == 0:
                    with _lock:
                        del _leases[id(port)]
        return
