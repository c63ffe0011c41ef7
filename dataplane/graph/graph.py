# SPDX-License-Identifier: BSD-3-Clause
"""The graph of a pipeline: its chains put together and checked before the first packet.

Every mistake is a GraphError that names the stage, the edge and the mend. Building a graph changes nothing about the
stages in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from dataplane.app import App, Source
from dataplane.errors import GraphError
from dataplane.graph.endpoint import RxStage, TxStage
from dataplane.graph.handoff import HANDOFF_SLOTS, HandoffRx, HandoffTx
from dataplane.graph.stage_options import Full, Lcore, find_lcores, find_waits
from dataplane.graph.taps import Tap
from dataplane.limits import BURST_MAX_PACKETS
from dataplane.port import Port
from dataplane.queue import RxQueue, TxQueue
from dataplane.reports.balance import Balance
from dataplane.reports.stats import Count
from dataplane.stage import Chain, Exit, Stage

__all__ = ["Graph", "Handoff", "JoinedEdge", "takes_gil"]

_MAX_EDGES, _MAX_DROPS = 16, 14


@dataclass(frozen=True)
class JoinedEdge:
    """A joined edge: packets that leave `app` by its edge number `index`, named `edge`, go to `to`."""

    app: App
    index: int
    edge: str
    to: App


@dataclass(frozen=True)
class Handoff:
    """A link between two lcores: `tx` is on number `origin` of the run, `rx` on number `target`, and a ring between them."""

    link: JoinedEdge
    origin: int
    target: int
    tx: HandoffTx

    @property
    def rx(self) -> HandoffRx:
        """The receiving end."""
        return self.tx.rx


@dataclass
class Graph:
    """apps: in the order of the chains, queues wrapped; stages: the same before they were wrapped.

    lcores: by id of an app, where it is to run; slots: of a hand-off's ring; handoffs: those of a run, when it has begun;
    ran_on: by id of an app, its lcore in that run, as pictures call it.
    """

    name: str
    lossless: bool = False
    burst: int = 32
    slots: int = HANDOFF_SLOTS
    lcores: dict[int, Lcore] = field(default_factory=dict)
    handoffs: list[Handoff] = field(default_factory=list)
    stages: list[Stage] = field(default_factory=list)
    apps: list[App] = field(default_factory=list)
    links: list[JoinedEdge] = field(default_factory=list)
    labels: dict[int, str] = field(default_factory=dict)
    ran_on: dict[int, str] = field(default_factory=dict)
    _waits: dict[int, bool] = field(default_factory=dict)  # by id of an app

    @classmethod
    def of(
        cls,
        chains: tuple[Any, ...],
        *,
        name: str,
        lossless: bool = False,
        burst: int = 32,
        taps: Sequence[Tap] = (),
        lcores: Mapping[Stage, Lcore] = MappingProxyType({}),
        full: Full = None,
        slots: int = HANDOFF_SLOTS,
        wrapped: Mapping[int, App] = MappingProxyType({}),
    ) -> Graph:
        """Put chains together. Raises GraphError for the first mistake it finds.

        taps: set on edges of the chains, and of the stages behind earlier taps.
        lcores: where stages run, others run with the one before them. full, slots: of hand-offs, see `Pipeline`.
        wrapped: by id of a queue, the app that wraps it in the graph that this one replaces.
        """
        graph = cls(name, lossless, burst, slots)
        if not chains:
            raise GraphError(f"{name} is empty: give it a chain such as port.rx(0) >> app >> port.tx(0)")
        if not 1 <= burst <= BURST_MAX_PACKETS:
            raise GraphError(f"{name}: a burst of {burst}: must be 1 to {BURST_MAX_PACKETS}")
        graph._chain(chains, wrapped)
        for tap in taps:
            graph._tap(tap, wrapped)
        graph._check()
        graph.lcores = find_lcores(graph, lcores)
        graph._waits = find_waits(graph, full, graph.lossless)
        graph.label(set(), {})
        return graph

    def app_of(self, stage: Stage) -> App:
        """The app of a stage in this graph: the stage itself, or the wrapper of a queue."""
        return self.apps[next(i for i, each in enumerate(self.stages) if each is stage)]

    def label(self, taken: set[str], known: Mapping[int, str]) -> None:
        """Give each app a name of its own that is not in `taken`, and add it there.

        known: by id of an app, the name that it has already and keeps.
        """
        for app in self.apps:
            if id(app) in known:
                self.labels[id(app)] = known[id(app)]
                continue
            label, count = app.name, 1
            while label in taken:
                count += 1
                label = f"{app.name}-{count}"
            taken.add(label)
            self.labels[id(app)] = label
        for each in self.handoffs:
            label = known.get(id(each.tx)) or f"{self.name_of(each.link.app)}.{each.link.edge}"
            self.labels[id(each.tx)] = label

    def name_of(self, app: App) -> str:
        """Its label: its name, with a number if others in the run have the same."""
        return self.labels[id(app)]

    @property
    def sources(self) -> list[Source]:
        """Where packets come from."""
        return [app for app in self.apps if isinstance(app, Source)]

    @property
    def queues(self) -> list[RxQueue | TxQueue]:
        """The queues of ports it uses."""
        return [stage for stage in self.stages if isinstance(stage, (RxQueue, TxQueue))]

    @property
    def ports(self) -> list[Port]:
        """The ports of those queues, each once."""
        return list({id(queue.port): queue.port for queue in self.queues}.values())

    @property
    def counted(self) -> list[App]:
        """All that count packets: its apps, and the sending ends of hand-offs."""
        return [*self.apps, *(each.tx for each in self.handoffs)]

    def lcore_of(self, app: App) -> Lcore:
        """Where an app is to run."""
        return self.lcores[id(app)]

    def waits_for(self, app: App) -> bool:
        """Whether hand-offs that lead to an app wait when they are full."""
        return self._waits[id(app)]

    def crosses(self, link: JoinedEdge) -> bool:
        """Whether a link leads to another lcore."""
        return self.lcore_of(link.app) != self.lcore_of(link.to)

    def handoff_of(self, link: JoinedEdge) -> Handoff | None:
        """The hand-off of a link in a run, if it leads to another lcore."""
        return next((each for each in self.handoffs if each.link is link), None)

    def place_of(self, app: App) -> str:
        """The lcore of an app as pictures call it: where it ran, or is to run; "" if that is left to the run."""
        lcore = self.lcore_of(app)
        return self.ran_on.get(id(app), "") or ("" if lcore is None else f"lcore {lcore}")

    def ring_of(self, link: JoinedEdge) -> str:
        """A description of the ring of a link to another lcore, for pictures; "" if the link is a call."""
        if self.handoff_of(link) is None if self.ran_on else not self.crosses(link):
            return ""
        return f"ring of {self.slots:,} slots, full: {'wait' if self.waits_for(link.to) else 'drop'}"

    def ring_drops(self, app: App) -> dict[str, int]:
        """Packets dropped in hand-offs behind an app, "edge.reason" -> packets."""
        return {
            f"{each.link.edge}.{reason}": count
            for each in self.handoffs
            if each.link.app is app
            for reason, count in each.tx.drop_counts.items()
        }

    def settle(self, apps: Iterable[App]) -> None:
        """Give those of `apps` that are ends the settings of this graph: an earlier one may have had others."""
        here = {id(app) for app in apps}
        for app in self.apps:
            if id(app) in here and isinstance(app, RxStage):
                app.burst = self.burst
            elif id(app) in here and isinstance(app, TxStage):
                app.be_lossless(self.lossless)
        for each in self.handoffs:
            if id(each.tx) in here:
                each.tx.be_waiting(self.waits_for(each.link.to))
            if id(each.rx) in here:
                each.rx.burst = self.burst

    def counts(self, apps: Iterable[App] | None = None) -> dict[str, Count]:
        """Packets, bytes and bursts of each edge since the run began: "app.edge" -> Count.

        Includes edges that are joined no longer and have counted. apps: count those of its apps only.
        """
        counts = {}
        for app in self.counted if apps is None else apps:
            joined = {link.edge for link in self.links if link.app is app}
            for edge, numbers in app.edge_counts.items():
                if edge in joined or numbers[0]:
                    counts[f"{self.name_of(app)}.{edge}"] = Count(*numbers)
        return counts

    def balance(self, apps: Iterable[App] | None = None) -> Balance:
        """Where packets of its apps came from since the run began, and where they went."""
        terms: Counter[str] = Counter()
        for app in self.counted if apps is None else apps:
            dropped, consumed = _ended(app)
            terms["dropped"] += dropped
            terms["consumed"] += consumed
            terms["copied"] += app.made_count
            terms["held"] += app.held
            if isinstance(app, TxStage):
                terms["sent"] += app.sent
            elif isinstance(app, Source):
                made = dropped + consumed + sum(packets for packets, _, _ in app.edge_counts.values())
                terms["received" if isinstance(app, RxStage) else "generated"] += made
        return Balance(**terms)

    def faulty(self) -> list[tuple[App, int]]:
        """The apps that have neither emitted, dropped nor held all that they were given, and how many packets those are."""
        found = []
        for app in self.apps:
            if isinstance(app, Source):
                continue
            given = sum(self._brought(link) for link in self.links if link.to is app)
            left = sum(packets for packets, _, _ in app.edge_counts.values()) + sum(_ended(app)) + app.held
            left += app.sent if isinstance(app, TxStage) else 0
            if missing := given + app.made_count - left:
                found.append((app, missing))
        return found

    def _brought(self, link: JoinedEdge) -> int:
        """Packets that a link has brought to its app."""
        handoff = self.handoff_of(link)
        return link.app.edge_counts[link.edge][0] if handoff is None else handoff.tx.channel.taken

    def drops(self, apps: Iterable[App] | None = None) -> dict[str, int]:
        """Packets dropped since the run began, by reasons that happened: "app.reason" -> packets."""
        return {
            f"{self.name_of(app)}.{reason}": count
            for app in (self.counted if apps is None else apps)
            for reason, count in app.drop_counts.items()
        }

    def consumed(self, apps: Iterable[App] | None = None) -> dict[str, int]:
        """Packets that apps consumed since the run began (see `App.consumes`): "app.reason" -> packets."""
        return {
            f"{self.name_of(app)}.{reason}": count
            for app in (self.counted if apps is None else apps)
            for reason, count in app.consumed_counts.items()
        }

    def _chain(self, chains: Iterable[Any], wrapped: Mapping[int, App]) -> None:
        """Add stages, then the links between them."""
        for chain in chains:
            _check_chain(self.name, chain)
            for stage in (
                [chain] if isinstance(chain, Stage) else [chain.first, *(to for _, _, to in chain.links)]
            ):
                self._add(stage, wrapped.get(id(stage)))
        for chain in chains:
            if isinstance(chain, Chain):
                for origin, edge, target in chain.links:
                    self._join(origin, edge, target)

    def _tap(self, tap: Tap, wrapped: Mapping[int, App]) -> None:
        """Put what copies on the edge of a tap."""
        if not any(each is tap.origin for each in self.stages):
            raise GraphError(
                f"{tap!r}: {tap.origin!r} is no stage of {self.name}: tap an edge of one that is"
            )
        app = self.app_of(tap.origin)
        edge = _edge(app, tap.edge, "a tap")
        link = next((link for link in self.links if link.app is app and link.edge == edge), None)
        if link is None:
            raise GraphError(f"edge {edge!r} of {app} leads nowhere: join it before you tap it")
        self.stages.insert(self.apps.index(app) + 1, tap.app)
        self.apps.insert(self.apps.index(app) + 1, tap.app)
        place = self.links.index(link)
        self.links[place : place + 1] = [
            JoinedEdge(app, link.index, edge, tap.app),
            JoinedEdge(tap.app, 0, "out", link.to),
        ]
        self._chain((tap.to,), wrapped)
        self._join(tap.app, "copy", tap.first)

    def _add(self, stage: Stage, wrapper: App | None) -> None:
        if any(each is stage for each in self.stages):
            return
        if wrapper is not None:
            app = wrapper
        elif isinstance(stage, RxQueue):
            app = RxStage(stage, self.burst)
        elif isinstance(stage, TxQueue):
            app = TxStage(stage, self.lossless)
        elif isinstance(stage, App):
            _check_app(stage)
            app = stage
        else:
            raise GraphError(
                f"{self.name}: {stage!r} is a {type(stage).__name__}: an App or a queue of a port is needed"
            )
        self.stages.append(stage)
        self.apps.append(app)

    def _join(self, origin: Stage, edge: str | None, target: Stage) -> None:
        app, to = self.app_of(origin), self.app_of(target)
        edge = _edge(app, edge, str(to))
        if isinstance(to, Source):
            what = "it is where packets arrive" if isinstance(to, RxStage) else "it makes packets by itself"
            raise GraphError(f"{app} >> {to}: nothing can lead into {to}, {what}: begin a chain with it")
        for link in self.links:
            if link.app is app and link.edge == edge:
                raise GraphError(
                    f"edge {edge!r} of {app} is joined twice, to {link.to} and to {to}: a packet goes one way; "
                    "join it once, or put a tee there that copies"
                )
        self.links.append(JoinedEdge(app, app.edges.index(edge), edge, to))

    def _check(self) -> None:
        if not self.sources:
            raise GraphError(
                f"{self.name} has no source: begin a chain with port.rx(0) or with an app that makes packets"
            )
        reached = {id(link.to) for link in self.links}
        for app in self.apps:
            if not isinstance(app, Source) and id(app) not in reached:
                raise GraphError(f"nothing leads into {app}: join an edge to it, or leave it out")
            joined = {link.edge for link in self.links if link.app is app}
            for edge in app.edges:
                if edge not in joined and edge not in app.optional:
                    raise GraphError(
                        f"edge {edge!r} of {app} leads nowhere: write {app.name}[{edge!r}] >> ..., "
                        f"or name {edge!r} in the class's `optional`"
                    )
        self._check_cycles()

    def _check_cycles(self) -> None:
        done: set[int] = set()

        def walk(app: App, path: list[App]) -> None:
            if any(each is app for each in path):
                loop = [*path[next(i for i, each in enumerate(path) if each is app) :], app]
                raise GraphError(
                    f"a cycle: {' >> '.join(map(str, loop))}: a burst would never end; end one of them at a ring port"
                )
            if id(app) not in done:
                for link in self.links:
                    if link.app is app:
                        walk(link.to, [*path, app])
                done.add(id(app))

        for app in self.apps:
            walk(app, [])


def _edge(app: App, edge: str | None, to: str) -> str:
    """The name of an edge of an app; None: the first. to: the target, for errors. Raises GraphError."""
    if not app.edges:
        raise GraphError(f"{app} >> {to}: {app} has no edges, it ends a chain")
    if edge is None:
        return str(app.edges[0])
    if edge not in app.edges:
        raise GraphError(f"{app} has no edge {edge!r}: it has {', '.join(app.edges)}")
    return edge


def _ended(app: App) -> tuple[int, int]:
    """Packets that it dropped, and that it consumed."""
    return sum(app.drop_counts.values()), sum(app.consumed_counts.values())


def takes_gil(app: App) -> bool:
    """Whether it runs Python for each burst."""
    return hasattr(app, "process")


def _check_chain(name: str, chain: Any) -> None:
    if isinstance(chain, (Chain, Stage)):
        return
    if isinstance(chain, Exit) or type(chain).__name__ == "_Tail":
        raise GraphError(f"{name}: {chain!r} leads nowhere: join it with >> to a stage")
    raise GraphError(f"{name}: {chain!r} is a {type(chain).__name__}: a chain such as a >> b is needed")


def _check_app(app: App) -> None:
    kind = type(app).__name__
    for what, names, most in (
        ("edges", app.edges, _MAX_EDGES),
        ("drops", app.drops, _MAX_DROPS),
        ("optional", app.optional, _MAX_EDGES),
        ("consumes", app.consumes, _MAX_DROPS),
    ):
        if not isinstance(names, tuple) or not all(isinstance(each, str) for each in names):
            raise GraphError(f"{kind}.{what} is {names!r}: a tuple of names is needed, such as ('out',)")
        if len(set(names)) != len(names) or len(names) > most:
            raise GraphError(f"{kind}.{what} is {names!r}: must be at most {most} different names")
    if unknown := set(app.consumes) - set(app.drops):
        raise GraphError(f"{kind}.consumes names {', '.join(sorted(unknown))}: {kind}.drops does not")
    if unknown := set(app.optional) - set(app.edges):
        raise GraphError(f"{kind}.optional names {', '.join(sorted(unknown))}: {kind}.edges does not")
    if isinstance(app, Source) and not 1 <= app.burst <= BURST_MAX_PACKETS:
        raise GraphError(f"{app}.burst is {app.burst}: must be 1 to {BURST_MAX_PACKETS}")
    # Compiled classes have a table of their C methods; the nearest one decides who handles bursts.
    compiled = next(cls for cls in type(app).__mro__ if "__pyx_vtable__" in vars(cls))
    process = next((cls for cls in type(app).__mro__ if "process" in vars(cls)), None)
    if process is None and compiled in (App, Source):
        what = "process(self, burst)" if compiled is App else "a compiled poll()"
        raise GraphError(f"{kind} does nothing with packets: it needs {what}")
    if (
        process is not None
        and issubclass(process, compiled)
        and compiled is not App
        and process is not compiled
    ):
        raise GraphError(
            f"{kind}.process() would never be called: {compiled.__name__} handles bursts in compiled code; "
            "subclass App instead, and join it behind"
        )
