# SPDX-License-Identifier: BSD-3-Clause
"""Options of a pipeline by stage, lcores and full hand-offs: checked, and spread over all its apps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from dataplane.app import App, Source
from dataplane.errors import GraphError
from dataplane.stage import Stage

__all__ = ["Full", "Lcore", "find_lcores", "find_waits"]

Lcore = int | str | None
"""Where a stage runs: a CPU, the name of a thread that is not pinned, or None: the lcore that its pipeline was given to."""

Full = str | Mapping[Stage, str] | None
"""What a hand-off does when its ring is full: "wait" or "drop", for all of them or by the stage that they lead to."""


class Joined(Protocol):
    """A link of a graph."""

    @property
    def app(self) -> App:
        """Where it begins."""

    @property
    def to(self) -> App:
        """Where it leads."""


class Described(Protocol):
    """A graph, as far as this module needs it; apps in the order of its stages."""

    name: str

    @property
    def stages(self) -> Sequence[Stage]:
        """As they were described."""

    @property
    def apps(self) -> Sequence[App]:
        """The apps that wrap them."""

    @property
    def links(self) -> Sequence[Joined]:
        """In the order of the chains."""


def find_lcores(graph: Described, given: Mapping[Stage, Lcore]) -> dict[int, Lcore]:
    """The lcore of each app, by its id: its own, or that of the first app that leads to it. Raises GraphError."""
    lcores = _by_app(graph, "lcores", given)
    for app in graph.apps:
        if not _is_lcore(lcores.get(id(app))):
            raise GraphError(
                f"{graph.name}: lcores={{{app}: {lcores[id(app)]!r}}}: expected a CPU number or a name"
            )
    before = {id(link.to): link.app for link in reversed(graph.links)}
    for app in graph.apps:
        way = [app]
        while id(way[-1]) not in lcores and not isinstance(way[-1], Source):
            way.append(before[id(way[-1])])
        for each in way:
            lcores.setdefault(id(each), lcores.get(id(way[-1])))
    return lcores


def find_waits(graph: Described, full: Full, lossless: bool) -> dict[int, bool]:
    """For each app, by its id, whether hand-offs that lead to it wait. Raises GraphError."""
    by_stage = _by_app(graph, "full", full if isinstance(full, Mapping) else {})
    rest = ("wait" if lossless else "drop") if isinstance(full, Mapping) or full is None else full
    waits = {}
    for app in graph.apps:
        what = by_stage.get(id(app), rest)
        if what not in ("wait", "drop"):
            raise GraphError(
                f'{graph.name}: full={what!r}: expected "wait" or "drop", or one of them by stage'
            )
        if lossless and what == "drop":
            raise GraphError(
                f'{graph.name}: lossless=True waits everywhere, and full="drop" does not: give one'
            )
        waits[id(app)] = what == "wait"
    return waits


def _by_app(graph: Described, option: str, given: Any) -> dict[int, Any]:
    """The values of an option, by the id of the app. Raises GraphError for what is no stage of the graph."""
    if not isinstance(given, Mapping):
        raise GraphError(
            f"{graph.name}: {option}={given!r}: expected stages and what holds for each: {{app: ...}}"
        )
    found = {}
    for stage, what in given.items():
        place = next((n for n, each in enumerate(graph.stages) if each is stage), None)
        if place is None:
            raise GraphError(
                f"{graph.name}: {option} names {stage!r}, which is none of its stages: join it, or leave it out"
            )
        found[id(graph.apps[place])] = what
    return found


def _is_lcore(lcore: Any) -> bool:
    if isinstance(lcore, int) and not isinstance(lcore, bool):
        return lcore >= 0
    return lcore is None or (isinstance(lcore, str) and bool(lcore))
