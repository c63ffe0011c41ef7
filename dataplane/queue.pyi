# SPDX-License-Identifier: BSD-3-Clause
"""Types of dataplane.queue."""

from typing import Any

from dataplane.stage import Stage

def halt(port: Any, queues: tuple[Stage, ...]) -> Stage | None: ...

class RxQueue(Stage):
    port: Any  # its `Port`: that module imports this one
    index: int
    exhausted: bool
    def __init__(self, port: Any, index: int) -> None: ...

class TxQueue(Stage):
    port: Any  # its `Port`: that module imports this one
    index: int
    def __init__(self, port: Any, index: int) -> None: ...
