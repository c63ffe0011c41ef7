# SPDX-License-Identifier: BSD-3-Clause
from dataplane.memory.hugepage import Block
from dataplane.mempool import Mempool
from dataplane.pmd.function import Waker
from dataplane.queue import RxQueue

class IxgbeRxQueue(RxQueue):
    """An Rx queue with advanced one-buffer descriptors (datasheet 7.1.6, 7.1.9)."""

    @property
    def alloc_failures(self) -> int:
        """How often its mempool had too few mbufs."""
    @property
    def next(self) -> int:
        """Number of the descriptor that is read next."""
    @property
    def merging(self) -> tuple[int, int, int]:
        """Packets that arrived merged, the packets they became, and packets freed because of a wrong NEXTP."""
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
        """Arm every descriptor of `memory` with a buffer of `mempool`.

        tail, status: addresses of these registers in this process. number: `port` of the mbufs. strip: the NIC strips tags.
        simd: one of `kernels.widths()`, or "auto". pieces: buffers of the longest frame. hide: do not report stripped tags.
        merges: the NIC merges packets. waker: of a device that may sleep. Raises MempoolError, ConfigError.
        """
    def pause(self) -> None:
        """Keep pollers out of the queue until `resume`. Returns when none is inside. Raises DeviceError after 5 s."""
    def resume(self) -> None:
        """End one `pause`. Raises DeviceError if the queue is not paused."""
    @property
    def waiting(self) -> int:
        """Packets that the NIC has written to descriptors and `rx_burst` has not returned."""
    def detach(self) -> int:
        """Free every mbuf. Returns the number of packets that waited. The NIC's queue must be off. Raises PortError."""
