# SPDX-License-Identifier: BSD-3-Clause
"""The boxes (stages) and arrows (edges) of a picture of pipelines, for every format that draws them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dataplane.app import App, Source
from dataplane.graph.endpoint import RxStage, TxStage
from dataplane.graph.graph import Graph, takes_gil
from dataplane.reports.figures import packet_rate
from dataplane.reports.stats import Cost, Count, Report

__all__ = ["Arrow", "Box", "Picture", "picture_of"]


@dataclass(frozen=True)
class Box:
    """A stage. name: its label in reports; kind: "rx", "tx", "source" or "app"; lcore: where it ran, "" if it did not.

    gil: it runs Python for each burst; ends: it has no edges; cost: None if it was not measured; dropped, consumed:
    reason -> packets.
    """

    name: str
    kind: str
    gil: bool
    ends: bool
    lcore: str
    cost: Cost | None
    dropped: dict[str, int]
    consumed: dict[str, int]


@dataclass(frozen=True)
class Arrow:
    """An edge. origin, target: indices of boxes, target None: unconnected; kind: "direct" (a call) or "ring".

    count: its counters; rate: of packets, as text, empty if no report says how long the run took; ring: its size and policy.
    """

    origin: int
    edge: str
    target: int | None
    kind: str
    count: Count
    rate: str
    ring: str = ""


@dataclass(frozen=True)
class Picture:
    """title; boxes, in the order of the chains; arrows; notes: lines below, such as the wires of ports."""

    title: str
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    notes: tuple[str, ...]

    def leaving(self, box: int) -> list[Arrow]:
        """The arrows that leave a box; unconnected ones last."""
        return [arrow for arrow in self.arrows if arrow.origin == box]

    @property
    def heads(self) -> list[int]:
        """The boxes that packets come from."""
        return [number for number, box in enumerate(self.boxes) if box.kind in ("rx", "source")]


def picture_of(name: str, graphs: Sequence[Graph], report: Report | None) -> Picture:
    """The picture of these graphs, with the counters of `report` where it is given."""
    apps = [(graph, app) for graph in graphs for app in graph.apps]
    numbers = {id(app): number for number, (_, app) in enumerate(apps)}
    ports = {id(port): port for graph in graphs for port in graph.ports}.values()
    return Picture(
        name,
        tuple(_box(graph, app, report) for graph, app in apps),
        tuple(arrow for graph, app in apps for arrow in _arrows(graph, app, numbers, report)),
        (*(f"wire of {port.name}: {port.wire}" for port in ports if port.wire), *_remarks(report)),
    )


def _remarks(report: Report | None) -> Iterator[str]:
    """Remarks on the last run: packets that ports hold or did not send, paces of generators, mempools that ran dry."""
    if report is None:
        return
    yield from (f"held by {name}: {count:,}" for name, count in report.held.items())
    for name, port in report.port_balances.items():
        if port.errors:
            yield f"refused by {name}: {port.errors:,}"
        if port.link_down:
            yield f"lost by {name}, whose link was down: {port.link_down:,}"
    yield from (f"{name}: {pace}" for name, pace in report.paces.items())
    yield from (f"mempool {name} {use}" for name, use in report.pools.items())


def _box(graph: Graph, app: App, report: Report | None) -> Box:
    name = graph.name_of(app)
    if isinstance(app, RxStage):
        kind = "rx"
    elif isinstance(app, TxStage):
        kind = "tx"
    else:
        kind = "source" if isinstance(app, Source) else "app"
    return Box(
        name=name,
        kind=kind,
        gil=takes_gil(app),
        ends=not app.edges,
        lcore=graph.place_of(app),
        cost=None if report is None else report.profile.get(name),
        dropped=app.drop_counts | graph.ring_drops(app),
        consumed=app.consumed_counts,
    )


def _arrows(graph: Graph, app: App, numbers: dict[int, int], report: Report | None) -> Iterator[Arrow]:
    counts = {edge: Count(*numbers) for edge, numbers in app.edge_counts.items()}
    links = [link for link in graph.links if link.app is app]
    joined = [(link.edge, numbers[id(link.to)], graph.ring_of(link)) for link in links]
    free = [(edge, None, "") for edge in app.edges if all(link.edge != edge for link in links)]
    for edge, target, ring in (*joined, *free):
        rate = "" if report is None else packet_rate(counts[edge].packets, report.seconds)
        yield Arrow(numbers[id(app)], edge, target, "ring" if ring else "direct", counts[edge], rate, ring)
