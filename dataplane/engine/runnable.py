# SPDX-License-Identifier: BSD-3-Clause
"""The interface of a pipeline for runs: `Pipeline` has it. A module of its own, since a pipeline starts runs itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Protocol, Self

from dataplane.app import App
from dataplane.graph.graph import Graph
from dataplane.graph.taps import Tap
from dataplane.reports.stats import Report
from dataplane.stage import Chain, Stage

__all__ = ["Runnable"]


class Runnable(Protocol):
    """A described graph. The run sets `graph` when it starts it, and `report` when it has ended."""

    name: str
    chains: tuple[Chain | Stage, ...]
    taps: list[Tap]
    report: Report | None
    graph: Graph | None

    def check(self, wrapped: Mapping[int, App] = MappingProxyType({})) -> Graph:
        """Put the chains together without touching a stage; see `Pipeline.check`. Raises GraphError."""

    def lane(self, chains: Sequence[Chain | Stage]) -> Self:
        """The same with other chains: another lane of it."""
