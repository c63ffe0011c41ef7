# SPDX-License-Identifier: BSD-3-Clause
"""Types of dataplane.graph.endpoint."""

from dataplane.app import App, Source
from dataplane.queue import RxQueue, TxQueue

class RxStage(Source):
    queue: RxQueue
    def __init__(self, queue: RxQueue, burst: int = 32) -> None: ...

class TxStage(App):
    queue: TxQueue
    sent: int
    retries: int
    def __init__(self, queue: TxQueue, lossless: bool = False) -> None: ...
    def be_lossless(self, lossless: bool) -> None: ...
