# SPDX-License-Identifier: BSD-3-Clause
"""Types of dataplane.queue."""

from dataplane.port import Port
from dataplane.stage import Stage

class RxQueue(Stage):
    port: Port
    index: int
    exhausted: bool
    def __init__(self, port: Port, index: int) -> None: ...

class TxQueue(Stage):
    port: Port
    index: int
    def __init__(self, port: Port, index: int) -> None: ...
