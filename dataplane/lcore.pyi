# SPDX-License-Identifier: BSD-3-Clause
"""Types of dataplane.lcore."""

import threading
from collections.abc import Callable, Sequence

from dataplane.plan import Plan
from dataplane.profiler import Profiler

STOPPED: int
DONE: int
COUNTED: int
FAULT: int
ASKED: int

class Call:
    function: Callable[[], object]
    taken: bool
    done: threading.Event
    error: BaseException | None
    def __init__(self, function: Callable[[], object]) -> None: ...

class Loop:
    plan: Plan
    coming: Plan | None
    profiler: Profiler | None
    laps: int
    empty: int
    packets: int
    began: int
    ended: int
    def __init__(self, plan: Plan, *, profile: bool = False) -> None: ...
    def stop(self) -> None: ...
    def ask(self, function: Callable[[], object]) -> Call: ...
    def withdraw(self, call: Call) -> bool: ...
    def expect(self, plan: Plan) -> None: ...
    def hush(self, hushed: bool) -> None: ...
    def settle(self) -> bool: ...
    def forget(self, count: int | None = None) -> None: ...
    def swap(self) -> None: ...
    def open(self, stoppable: bool = False) -> None: ...
    def close(self, raising: bool = True) -> None: ...
    def let_go(self) -> None: ...
    def stop_compiled(self) -> None: ...
    def spin(self, laps: int | None = None, count: int | None = None) -> int: ...
    def run(self, count: int | None = None) -> int: ...

def step_together(loops: Sequence[Loop], laps: int, *, ending: bool = False) -> bool: ...

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
        name: str = "any",
        count: int | None = None,
        ended: Callable[[], None] | None = None,
    ) -> None: ...
