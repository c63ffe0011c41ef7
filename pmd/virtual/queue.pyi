# SPDX-License-Identifier: BSD-3-Clause
"""Types of pmd.virtual.queue."""

from dataplane.mempool import Mempool
from dataplane.queue import RxQueue, TxQueue

class VirtualRx(RxQueue):
    @property
    def counters(self) -> dict[str, int]: ...
    def attach(self, mempool: Mempool | None) -> None: ...

class VirtualTx(TxQueue):
    @property
    def counters(self) -> dict[str, int]: ...
    def attach(self) -> None: ...
