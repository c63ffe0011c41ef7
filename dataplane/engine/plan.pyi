# SPDX-License-Identifier: BSD-3-Clause
"""Types of dataplane.engine.plan."""

from collections.abc import Iterable
from typing import Any

from dataplane.app import App
from dataplane.graph.graph import JoinedEdge
from dataplane.graph.handoff import HandoffTx
from dataplane.queue import RxQueue, TxQueue

class Plan:
    apps: tuple[App, ...]
    queues: tuple[RxQueue | TxQueue, ...]
    links: tuple[JoinedEdge, ...]
    def __init__(
        self,
        apps: Iterable[App],
        links: Iterable[JoinedEdge],
        queues: Iterable[RxQueue | TxQueue],
        *,
        order: Iterable[HandoffTx] = (),
    ) -> None: ...
    def __contains__(self, app: Any) -> bool: ...
    def bind(self, previous: Plan | None = None) -> None: ...
    def unbind(self) -> None: ...
    def fault(self) -> BaseException | None: ...
