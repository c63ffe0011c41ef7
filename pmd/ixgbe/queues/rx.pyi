# SPDX-License-Identifier: BSD-3-Clause
from dataplane.hugepage import Block
from dataplane.mempool import Mempool
from dataplane.pmd.function import Waker
from dataplane.queue import RxQueue

class IxgbeRxQueue(RxQueue):
    """Advanced one-buffer descriptors (datasheet 7.1.6, 7.1.9)."""

    @property
    def alloc_failures(self) -> int:
        """How often the pool had no mbufs for it."""
    @property
    def next(self) -> int:
        """The descriptor to look at next: it moves with each packet."""
    @property
    def merging(self) -> tuple[int, int, int]:
        """How many packets came within larger ones, how many these were, and how many were freed for a wrong NEXTP."""
    @property
    def armed(self) -> int:
        """Descriptors that have a buffer."""
    def attach(
        self,
        memory: Block,
        tail: int,
        status: int,
        mempool: Mempool,
        number: int,
        strip: bool,
        simd: str = "auto",
        *,
        pieces: int = 1,
        hide: bool = False,
        merges: bool = False,
        waker: Waker | None = None,
    ) -> None:
        """Arm every descriptor of `memory` with a buffer. tail, status: where those registers are. Raises MempoolError.

        pieces: buffers that the longest frame takes. hide: the tag that the NIC takes off is not to be seen. merges: the NIC
        merges packets. waker: of a device that may rest.
        """
    def pause(self) -> None:
        """Keep the queue's poller out, whoever it is; returns when it is. The queue may be taken apart until `resume`."""
    def resume(self) -> None:
        """Let it in again."""
    @property
    def waiting(self) -> int:
        """Packets that the NIC has written to descriptors and `rx_burst` has not returned."""
    def detach(self) -> int:
        """Give every mbuf back. The NIC must have let go of the queue. Returns how many packets waited there."""
