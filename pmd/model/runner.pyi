# SPDX-License-Identifier: BSD-3-Clause
"""Types of pmd.model.runner."""

from collections.abc import Sequence
from typing import Any, Protocol

from dataplane.pmd.model.datapath.engine import Engine
from dataplane.pmd.model.shared import CardLock

class _Card(Protocol):
    @property
    def lock(self) -> CardLock: ...
    @property
    def ports(self) -> Sequence[Any]: ...

class Runner:
    lock: CardLock
    first: Engine
    second: Engine | None
    cpu: int | None
    budget: int
    steps: int
    busy_steps: int
    packets: int
    told: bool
    def __init__(self, card: _Card, *, cpu: int | None = None, budget: int = 64) -> None: ...
    @property
    def running(self) -> bool: ...
    def start(self) -> None: ...
    def nudge(self) -> None: ...
    def listen(self, eventfd: int, on: bool) -> None: ...
    def stop(self) -> None: ...
