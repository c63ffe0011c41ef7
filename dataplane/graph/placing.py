# SPDX-License-Identifier: BSD-3-Clause
"""Placing: which lcore of a run has which app, the hand-offs on edges between lcores, and a plan for each lcore."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from dataplane.app import App
from dataplane.engine.plan import Plan
from dataplane.errors import GraphError
from dataplane.graph.graph import Graph, Handoff, JoinedEdge
from dataplane.graph.handoff import HandoffTx
from dataplane.graph.stage_options import Lcore
from dataplane.queue import RxQueue, TxQueue

__all__ = ["Places", "lcore_names", "make_plans"]

Where = dict[int, int]  # by id of an app: the number of its lcore in the run


def lcore_names(lcores: Sequence[Lcore]) -> list[str]:
    """What pictures call lcores: by their CPUs or names; "" for one that has neither."""
    return ["" if lcore is None else f"lcore {lcore}" for lcore in lcores]


class Places:
    """The lcores of a run: those that pipelines are dealt out to (`given`), and those that the pipelines name.

    names: of each lcore, in the order of their numbers, its CPU or its name; None for one that has neither.
    Raises GraphError for lcores that would have nothing to do.
    """

    def __init__(self, given: Sequence[int | None], graphs: Sequence[Graph]) -> None:
        self.names: list[Lcore] = list(given)
        self._homes: list[int | None] = list(range(len(given)))
        for graph in graphs:
            for lcore in graph.lcores.values():
                if lcore is not None and lcore not in self.names:
                    self.names.append(lcore)
        self._leave_out(graphs)

    def _leave_out(self, graphs: Sequence[Graph]) -> None:
        """Those of `given` that are not pinned, and that no app is on."""
        used = {number for where in self.locate(graphs) for number in where.values()}
        unused = [number for number in range(len(self.names)) if number not in used]
        for number in unused:
            if self.names[number] is not None:
                raise GraphError(
                    f"no stage would run on lcore {self.names[number]}: leave it out, or place a stage on it"
                )
        numbers = {number: place for place, number in enumerate(sorted(used))}
        self.names = [self.names[number] for number in sorted(used)]
        self._homes = [None if home is None else numbers.get(home) for home in self._homes]

    def locate(self, graphs: Sequence[Graph]) -> list[Where]:
        """The lcore of each app of each graph. Raises GraphError if that is none of the run."""
        if len(graphs) < len(self._homes):
            raise GraphError(
                f"{len(graphs)} pipelines for a run on {len(self._homes)} lcores: give each lcore one or more, "
                "or fewer lcores"
            )
        return [
            {id(app): self._number(graph, app, self._homes[turn % len(self._homes)]) for app in graph.apps}
            for turn, graph in enumerate(graphs)
        ]

    def relocate(self, graphs: Sequence[Graph]) -> list[Where]:
        """The same for graphs that come later: each lcore must have something to do. Raises GraphError."""
        found = self.locate(graphs)
        used = {number for where in found for number in where.values()}
        for number, name in enumerate(self.names):
            if number not in used:
                raise GraphError(
                    f"nothing would run on lcore {number if name is None else name}: place a stage on it"
                )
        return found

    def _number(self, graph: Graph, app: App, home: int | None) -> int:
        lcore = graph.lcores.get(id(app))
        if lcore is None and home is not None:
            return home
        if lcore is None or lcore not in self.names:
            raise GraphError(
                f"{app} would be on {'no lcore' if lcore is None else f'lcore {lcore}'}: the run has "
                f"{', '.join(map(str, self.names))}; place it on one of these"
            )
        return self.names.index(lcore)


def make_plans(
    graphs: Sequence[Graph],
    places: Sequence[Where],
    lcores: int,
    known: Iterable[Handoff],
) -> list[Plan]:
    """A plan for each of `lcores`; the hand-offs between them are noted in the graphs.

    known: hand-offs that run already, and go on if their edge is in a graph again.
    """
    old = list(known)
    for graph, where in zip(graphs, places, strict=True):
        graph.handoffs = [
            _hand_off(graph, link, where[id(link.app)], where[id(link.to)], old)
            for link in graph.links
            if where[id(link.app)] != where[id(link.to)]
        ]
    # A hand-off comes behind those whose packets it may get.
    order = [each.tx for graph in graphs for each in sorted(graph.handoffs, key=_depth_in(graph))]
    return [_plan(graphs, places, number, order) for number in range(lcores)]


def _depth_in(graph: Graph) -> Callable[[Handoff], int]:
    """How many links lead from a source to the app behind a hand-off, by the longest way."""
    depths: dict[int, int] = {}

    def depth(app: App) -> int:
        if id(app) not in depths:
            depths[id(app)] = 1 + max((depth(link.app) for link in graph.links if link.to is app), default=0)
        return depths[id(app)]

    return lambda handoff: depth(handoff.link.to)


def _hand_off(graph: Graph, link: JoinedEdge, origin: int, target: int, known: Sequence[Handoff]) -> Handoff:
    for each in known:
        same_edge = each.link.app is link.app and each.link.index == link.index and each.link.to is link.to
        same_place = (each.origin, each.target) == (origin, target)
        channel = each.tx.channel
        if same_edge and same_place and channel.slots == graph.slots and not channel.closed:
            return replace(each, link=link)
    tx = HandoffTx(graph.slots, burst=graph.burst)
    tx.name = f"{link.app}.{link.edge}"
    tx.rx.name = f"{tx.name} (hand-off)"
    tx.be_waiting(graph.waits_for(link.to))
    return Handoff(link, origin, target, tx)


def _plan(
    graphs: Sequence[Graph],
    places: Sequence[Where],
    lcore: int,
    order: Sequence[HandoffTx],
) -> Plan:
    apps: list[App] = []
    links: list[JoinedEdge] = []
    queues: list[RxQueue | TxQueue] = []
    for graph, where in zip(graphs, places, strict=True):
        here = {id(app) for app in graph.apps if where[id(app)] == lcore}
        incoming = [each for each in graph.handoffs if each.target == lcore]
        outgoing = [each for each in graph.handoffs if each.origin == lcore]
        apps += [each.rx for each in incoming]
        apps += [app for app in graph.apps if id(app) in here]
        apps += [each.tx for each in outgoing]
        links += [link for link in graph.links if {id(link.app), id(link.to)} <= here]
        links += [JoinedEdge(each.rx, 0, "out", each.link.to) for each in incoming]
        links += [JoinedEdge(each.link.app, each.link.index, each.link.edge, each.tx) for each in outgoing]
        queues += [
            stage
            for stage, app in zip(graph.stages, graph.apps, strict=True)
            if id(app) in here and isinstance(stage, (RxQueue, TxQueue))
        ]
    return Plan(apps, links, queues, order=order)
