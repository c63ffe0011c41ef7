# SPDX-License-Identifier: BSD-3-Clause
"""Types of dataplane.graph.blocks."""

from collections.abc import Iterable

from dataplane.app import App, Source
from dataplane.columns.burst import Burst
from dataplane.mempool import Mempool

class Frames(Source):
    def __init__(
        self, frames: Iterable[bytes], *, repeat: int | None = 1, burst: int = 32, pool: Mempool | None = None
    ) -> None: ...
    @property
    def mempool(self) -> Mempool: ...

class Collect(App):
    frames: list[bytes]
    def __init__(self) -> None: ...
    def process(self, burst: Burst) -> None: ...

def through(app: App, frames: Iterable[bytes], *, burst: int = 32) -> dict[str, list[bytes]]: ...
