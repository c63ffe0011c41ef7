# SPDX-License-Identifier: BSD-3-Clause
"""Types of apps.trial."""

from collections.abc import Iterable

from dataplane.app import App
from dataplane.errors import DataplaneError
from dataplane.mempool import Mempool

class Trial:
    app: App
    mempool: Mempool
    out: dict[str, list[bytes]]
    def __init__(
        self,
        app: App,
        *,
        n: int = 1024,
        segment: int = 2048,
        unconnected: Iterable[str] = (),
        keep: bool = True,
        debug: bool = True,
    ) -> None: ...
    def push(
        self, frames: Iterable[bytes], burst: int = 32, timestamp_ns: int | None = None, cut: int = 0
    ) -> None: ...
    def poll(self, bursts: int = 1) -> int: ...
    def idle(self) -> None: ...
    @property
    def done(self) -> bool: ...
    @property
    def fault(self) -> DataplaneError | None: ...
    @property
    def drops(self) -> dict[str, int]: ...
    @property
    def consumed(self) -> dict[str, int]: ...
    @property
    def counts(self) -> dict[str, tuple[int, int, int]]: ...
    def close(self) -> None: ...
    def __enter__(self) -> Trial: ...
    def __exit__(self, kind: object, error: object, trace: object) -> None: ...
