# SPDX-License-Identifier: BSD-3-Clause
"""Taps: copies of the packets that pass an edge, for a capture or a look at a running pipeline.

A tap is an app (`EdgeTap`) that the next graph of a pipeline has on that edge. Setting or removing one in a run replaces the
pipeline by itself, with the tap or without.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from dataplane.app import App
from dataplane.errors import GraphError
from dataplane.graph.edge_tap import EdgeTap
from dataplane.mempool import Mempool
from dataplane.stage import Chain, Exit, Stage

__all__ = ["Tap", "Tapped", "TapsOfRun", "make_tap", "stages_of"]


@dataclass(frozen=True, eq=False)
class Tap:
    """A tap on an edge. origin: the stage that the edge leaves; edge: its name, None: the first; to: what gets the copies.

    app: what copies. Made by `Pipeline.tap`, `Run.tap` and `Stepper.tap`.
    """

    origin: Stage
    edge: str | None
    to: Stage | Chain
    app: EdgeTap

    @property
    def packets(self) -> int:
        """Copies that were passed on since the run began, or since the tap was set."""
        packets: int = self.app.edge_counts["copy"][0]
        return packets

    @property
    def missed(self) -> int:
        """Packets that passed without a copy, as the pool had no mbuf left."""
        return self.app.drop_counts.get("no_mbuf", 0)

    @property
    def first(self) -> Stage:
        """The stage that copies enter."""
        return self.to.first if isinstance(self.to, Chain) else self.to

    def __repr__(self) -> str:
        return f"<Tap {self.app.name} on {Exit(self.origin, self.edge)!r}>"


def make_tap(edge: Stage | Exit, to: Stage | Chain | App, name: str, mempool: Mempool | None) -> Tap:
    """A tap, not set yet. Raises GraphError for what is no edge or no stage, ConfigError for name and mempool."""
    if not isinstance(edge, (Stage, Exit)):
        raise GraphError(
            f'a tap on {edge!r}: expected a stage, for its first edge, or an edge as app["name"]'
        )
    if not isinstance(to, (Stage, Chain)):
        raise GraphError(f"a tap to {to!r}: expected an app, a Tx queue, or a chain of them")
    origin, label = (edge.stage, edge.name) if isinstance(edge, Exit) else (edge, None)
    return Tap(origin, label, to, EdgeTap(name, mempool))


class Tapped(Protocol):
    """What has taps: a Pipeline."""

    taps: list[Tap]
    chains: tuple[Chain | Stage, ...]


class TapsOfRun:
    """The taps that are set in a run. They are in the descriptions of its pipelines until it ends.

    pipelines: gives those that run. `change` of its methods replaces them by themselves, and raises if that fails.
    """

    def __init__(self, pipelines: Callable[[], Sequence[Tapped]]) -> None:
        self._pipelines = pipelines
        self._set: list[tuple[Tapped, Tap]] = []

    def add(self, tap: Tap, change: Callable[[], None]) -> Tap:
        """Set a tap. Raises GraphError, and what `Run.replace` raises."""
        pipeline = self._with(tap)
        pipeline.taps.append(tap)
        try:
            change()
        except BaseException:
            pipeline.taps.remove(tap)
            raise
        self._set.append((pipeline, tap))
        return tap

    def remove(self, tap: Tap, change: Callable[[], None]) -> None:
        """Remove a tap. Raises GraphError, and what `Run.replace` raises."""
        for pipeline in self._pipelines():
            if tap in pipeline.taps:
                break
        else:
            raise GraphError(f"{tap!r} is not set in this run: it was removed, or replaced with its pipeline")
        place = pipeline.taps.index(tap)
        del pipeline.taps[place]
        try:
            change()
        except BaseException:
            pipeline.taps.insert(place, tap)
            raise
        self._set = [(each, other) for each, other in self._set if other is not tap]

    def end(self) -> None:
        """Remove all taps from the descriptions of the pipelines, at the end of the run."""
        for pipeline, tap in self._set:
            if tap in pipeline.taps:
                pipeline.taps.remove(tap)
        self._set = []

    def _with(self, tap: Tap) -> Tapped:
        """The pipeline that has the stage which is tapped."""
        for pipeline in self._pipelines():
            if any(tap.origin is stage for stage in _stages(pipeline)):
                return pipeline
        raise GraphError(f"{tap.origin!r} is no stage of what runs here: tap an edge of a stage that does")


def _stages(pipeline: Tapped) -> list[Stage]:
    """All stages of a pipeline, those behind taps too."""
    return stages_of((*pipeline.chains, *(tap.to for tap in pipeline.taps)))


def stages_of(chains: Iterable[Chain | Stage]) -> list[Stage]:
    """The stages of chains, in their order; one that is in two of them twice."""
    return [
        stage
        for chain in chains
        for stage in (
            [chain] if isinstance(chain, Stage) else [chain.first, *(link[2] for link in chain.links)]
        )
    ]
