# SPDX-License-Identifier: BSD-3-Clause
"""Types of dataplane.mempool."""

from collections.abc import Iterable

from dataplane.memory.hugepage import Arena

CACHE_MOST: int
HUGE_PAGE: int

class Mempool:
    arena: Arena
    name: str
    def __init__(
        self,
        n: int = 8192,
        *,
        data_room: int = 2048,
        arena: Arena | None = None,
        hugepages: str = "auto",
        debug: bool = False,
        name: str = "mempool",
    ) -> None: ...
    @property
    def n(self) -> int: ...
    @property
    def data_room(self) -> int: ...
    @property
    def available(self) -> int: ...
    @property
    def in_use(self) -> int: ...
    @property
    def alloc_failures(self) -> int: ...
    @property
    def caches(self) -> int: ...
    def take(self, n: int) -> list[int]: ...
    def give(self, addresses: Iterable[int]) -> None: ...
    def check(self) -> None: ...

def pools() -> list[Mempool]: ...
