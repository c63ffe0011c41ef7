# SPDX-License-Identifier: BSD-3-Clause
"""Types of dataplane.lcore."""

import threading
from collections.abc import Callable, Iterable

from dataplane.app import App
from dataplane.graph import Link
from dataplane.queue import RxQueue, TxQueue

STOPPED: int
DONE: int
COUNTED: int
FAULT: int

class Loop:
    apps: tuple[App, ...]
    queues: tuple[RxQueue | TxQueue, ...]
    links: tuple[Link, ...]
    laps: int
    empty: int
    packets: int
    began: int
    ended: int
    def __init__(
        self,
        apps: Iterable[App],
        links: Iterable[Link],
        queues: Iterable[RxQueue | TxQueue],
        *,
        busy: bool = False,
    ) -> None: ...
    def stop(self) -> None: ...
    def bind(self) -> None: ...
    def unbind(self) -> None: ...
    def open(self, stoppable: bool = False) -> None: ...
    def close(self, raising: bool = True) -> None: ...
    def stop_compiled(self) -> None: ...
    def spin(self, laps: int | None = None, count: int | None = None) -> int: ...
    def run(self, count: int | None = None) -> int: ...

class Worker(threading.Thread):
    loop: Loop
    cpu: int | None
    count: int | None
    error: BaseException | None
    over: bool
    why: int
    def __init__(
        self,
        loop: Loop,
        *,
        cpu: int | None = None,
        count: int | None = None,
        ended: Callable[[], None] | None = None,
    ) -> None: ...
