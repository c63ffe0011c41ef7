# SPDX-License-Identifier: BSD-3-Clause
from dataplane.hugepage import Block
from dataplane.pmd.function import Waker
from dataplane.queue import TxQueue

class IxgbeTxQueue(TxQueue):
    """Advanced descriptors (datasheet 7.2.3)."""

    @property
    def errors(self) -> int:
        """Packets that the chip cannot send: freed and counted."""
    @property
    def cuts(self) -> bool:
        """Whether it has sent a packet that the NIC cuts into several (TSO)."""
    @property
    def next(self) -> int:
        """The descriptor to write next."""
    @property
    def held(self) -> int:
        """Descriptors whose mbufs are not back in their pools."""
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
        """Work on the descriptors of `memory`. Head and tail of the NIC must be 0."""
    def pause(self) -> None:
        """Keep the queue's poller out, whoever it is; returns when it is. The queue may be taken apart until `resume`."""
    def resume(self) -> None:
        """Let it in again."""
    def waiting(self, head: int | None = None) -> int:
        """Packets in the descriptor ring that the NIC has not sent. head: the NIC's, None if it cannot be read."""
    def detach(self, head: int | None = None) -> int:
        """Give every mbuf back, sent or not. The NIC must have let go of the queue. Returns how many were not sent."""
