# SPDX-License-Identifier: BSD-3-Clause
from dataplane.memory.hugepage import Block
from dataplane.pmd.function import Waker
from dataplane.queue import TxQueue

class IxgbeTxQueue(TxQueue):
    """A Tx queue with advanced descriptors (datasheet 7.2.3)."""

    @property
    def errors(self) -> int:
        """Packets that the chip cannot send, which were freed."""
    @property
    def cuts(self) -> bool:
        """Whether it has sent a packet that the NIC cuts into several (TSO)."""
    @property
    def next(self) -> int:
        """Number of the descriptor that is written next."""
    @property
    def held(self) -> int:
        """Descriptors whose mbufs are not in their pools again."""
    def attach(
        self,
        memory: Block,
        tail: int,
        status: int,
        frame_max: int,
        check: bool = False,
        simd: str = "auto",
        *,
        waker: Waker | None = None,
    ) -> None:
        """Use the descriptors of `memory`. Head and tail of the NIC must be 0.

        tail, status: addresses of these registers in this process. frame_max: bytes of the longest frame, without FCS and
        tags. check: pools share the port. simd: one of `kernels.widths()`, or "auto". waker: of a device that may sleep.
        Raises ConfigError for memory that is no descriptor ring.
        """
    def pause(self) -> None:
        """Keep pollers out of the queue until `resume`. Returns when none is inside. Raises DeviceError after 5 s."""
    def resume(self) -> None:
        """End one `pause`. Raises DeviceError if the queue is not paused."""
    def waiting(self, head: int | None = None) -> int:
        """Packets in the descriptor ring that the NIC has not sent. head: the NIC's, None if it cannot be read."""
    def detach(self, head: int | None = None) -> int:
        """Free every mbuf. Returns the number of packets not sent. The NIC's queue must be off. Raises PortError."""
