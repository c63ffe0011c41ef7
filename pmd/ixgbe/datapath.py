# SPDX-License-Identifier: BSD-3-Clause
"""Receive and transmit: the units that all queues share, and one queue on or off (datasheet 4.6.7, 4.6.8).

The registers of a queue are passed in: PF and VF have the same ones at different places.
"""

from __future__ import annotations

from typing import NamedTuple

from dataplane.limits import FRAME_STANDARD_WITH_FCS_BYTES
from dataplane.memory.hugepage import Block
from dataplane.pmd.datasheet import (
    CTRL_EXT,
    DCA_RXCTRL,
    DCA_TXCTRL,
    DESCTYPE_ADVANCED,
    DMATXCTL,
    DTXMXSZRQ,
    HLREG0,
    MAXFRS,
    MTQC,
    MTQC_64Q,
    RDRXCTL,
    RTTDCS,
    RXCTRL,
    RXPBSIZE,
    SECRXCTRL,
    SECRXSTAT,
    TXPBSIZE,
    TXPBTHRESH,
    RegisterRef,
    limits,
)
from dataplane.pmd.function import Bar

__all__ = ["RxRegisters", "RxUnit", "TxRegisters", "TxUnit"]

QUEUE_TIMEOUT = 0.01  # 10 times 1 ms, as every driver has it


class RxRegisters(NamedTuple):
    """One Rx queue's, in the order they are written."""

    base_low: RegisterRef
    base_high: RegisterRef
    length: RegisterRef
    dca: RegisterRef
    srrctl: RegisterRef
    head: RegisterRef
    tail: RegisterRef
    control: RegisterRef


class TxRegisters(NamedTuple):
    """One Tx queue's."""

    base_low: RegisterRef
    base_high: RegisterRef
    length: RegisterRef
    dca: RegisterRef
    writeback: RegisterRef
    head: RegisterRef
    tail: RegisterRef
    control: RegisterRef


class RxUnit:
    """4.6.7, 7.1."""

    def __init__(self, bar: Bar) -> None:
        self.bar = bar

    def packet_buffer(self, lent: int = 0) -> None:
        """8.2.3.8.9: one traffic class has all of the 512 KB, but for those that are lent to the flow director."""
        for register in RXPBSIZE:
            size = (limits.RX_PACKET_BUFFER >> 10) - lent if register.index == 0 else 0
            self.bar.write(register, register.pack(SIZE=size))

    def crc_and_dma(self) -> None:
        """8.2.3.22.8, 8.2.3.8.8: the CRC is taken off, and both registers say so; three fields want given values."""
        self.bar.update(HLREG0, RXCRCSTRP=1, LPBK=0)
        self.bar.update(RDRXCTL, CRCSTRIP=1, RSCFRSTSIZE=0, RSCACKC=1, FCOE_WRFIX=1)

    def frame_size(self, frame: int) -> None:
        """8.2.3.22.13: the longest frame in bytes, with FCS. Without JUMBOEN it is 1518, whatever MAXFRS says."""
        self.bar.update(MAXFRS, MFS=frame)
        self.bar.update(HLREG0, JUMBOEN=int(frame > FRAME_STANDARD_WITH_FCS_BYTES))

    def snooping(self) -> None:
        """8.2.3.1.3, 8.2.3.11.1: no access without snooping, no relaxed order for what must be seen in order."""
        self.bar.set(CTRL_EXT.NS_DIS)
        # RESERVED1 comes up as 1 and must be 0. All are alike after a reset.
        word = DCA_RXCTRL[0].update(self.bar[DCA_RXCTRL[0]], RESERVED1=0, DATA_WRO=0, HEAD_WRO=0)
        for register in DCA_RXCTRL:
            self.bar.write(register, word)

    def enable(self) -> None:
        """4.6.7: open the gate while the block before it is stopped (8.2.3.12.5)."""
        bar = self.bar
        bar.set(SECRXCTRL.RX_DIS)
        bar.wait(SECRXSTAT.SECRX_RDY, timeout=0.04, interval=1e-5)
        bar.set(RXCTRL.RXEN)
        bar.clear(SECRXCTRL.RX_DIS)

    def disable(self) -> None:
        """4.6.7.1.2: no more packets."""
        self.bar.clear(RXCTRL.RXEN)

    def set_queue(self, queue: RxRegisters, ring: Block, buffer_size: int, drop: bool) -> None:
        """4.6.7, 8.2.3.8: where the descriptors are, how large the buffers (bytes). drop: with no descriptors, drop."""
        bar = self.bar
        _set_ring(bar, queue, ring)
        kib = buffer_size // limits.RX_BUFFER_UNIT
        bar.update(
            queue.srrctl,
            BSIZEPACKET=kib,
            BSIZEHEADER=4,
            RDMTS=0,
            DESCTYPE=DESCTYPE_ADVANCED,
            DROP_EN=int(drop),
        )

    def start_queue(self, queue: RxRegisters, descriptors: int, strip_vlan: bool) -> None:
        """4.6.7.1: on, and only when it says so, the descriptors: an earlier tail is lost."""
        bar = self.bar
        bar.update(queue.control, ENABLE=1, VME=int(strip_vlan))
        bar.wait(queue.control.ENABLE, timeout=QUEUE_TIMEOUT)
        bar.write(queue.tail, descriptors - 1)

    def stop_queue(self, queue: RxRegisters) -> None:
        """4.6.7.1.2: off; a write-back may still be under way when the bit has fallen."""
        bar = self.bar
        bar.clear(queue.control.ENABLE)
        bar.wait(queue.control.ENABLE, 0, timeout=QUEUE_TIMEOUT)
        bar.sleep(1e-4)


class TxUnit:
    """4.6.8, 7.2."""

    def __init__(self, bar: Bar) -> None:
        self.bar = bar

    def mac(self) -> None:
        """8.2.3.22.8: CRC appended, short frames padded."""
        self.bar.update(HLREG0, TXCRCEN=1, TXPADEN=1)

    def packet_buffer(self) -> None:
        """8.2.3.9.13, 8.2.3.9.16: one traffic class has all of the 160 KB; the threshold leaves room for a large frame."""
        size = limits.TX_PACKET_BUFFER >> 10
        for register, threshold in zip(TXPBSIZE, TXPBTHRESH, strict=True):
            first = register.index == 0
            self.bar.write(register, register.pack(SIZE=size if first else 0))
            self.bar.write(threshold, threshold.pack(THRESH=size - 10 if first else 0))

    def arbiter(self, mtqc: int = MTQC_64Q) -> None:
        """8.2.3.9.1, 8.2.3.9.15: no traffic classes; 64 queues, or pools. MTQC may change only while the arbiter rests."""
        bar = self.bar
        bar.write(DTXMXSZRQ, DTXMXSZRQ.pack(MAX_BYTES=0xFFF))
        bar.set(RTTDCS.ARBDIS)
        bar.write(MTQC, mtqc)
        bar.clear(RTTDCS.ARBDIS)

    def ordering(self) -> None:
        """8.2.3.11.2: descriptors are written back in order, or DD says nothing."""
        word = DCA_TXCTRL[0].update(self.bar[DCA_TXCTRL[0]], DESC_WRO=0)  # all are alike after a reset
        for register in DCA_TXCTRL:
            self.bar.write(register, word)

    def enable(self) -> None:
        """4.6.8: before any queue."""
        self.bar.set(DMATXCTL.TE)

    def disable(self) -> None:
        """4.6.8.1.2: after the last queue."""
        self.bar.clear(DMATXCTL.TE)

    def set_queue(self, queue: TxRegisters, ring: Block) -> None:
        """4.6.8, 8.2.3.9: where the descriptors are; fetched 32 at a time, DD written as soon as asked for."""
        bar = self.bar
        _set_ring(bar, queue, ring)
        bar.write(queue.writeback, 0)  # DD in the descriptor, not the head in memory
        # 7.2.3.4: WTHRESH must be 0 when only some descriptors ask for a report. 32 + 0 stay within the cache of 40.
        bar.update(queue.control, PTHRESH=32, HTHRESH=1, WTHRESH=0)

    def start_queue(self, queue: TxRegisters) -> None:
        """4.6.8.1: on; the tail may move when it says so."""
        bar = self.bar
        bar.set(queue.control.ENABLE)
        bar.wait(queue.control.ENABLE, timeout=QUEUE_TIMEOUT)

    def drain_queue(self, queue: TxRegisters, patience: float = 0.01) -> bool:
        """4.6.8.1.2: what was handed over is sent. False if the head has not moved for `patience` s: the link is down."""
        bar = self.bar
        tail, seen = bar.read(queue.tail), -1
        deadline = bar.now() + patience
        while True:
            late = bar.now() >= deadline
            head = bar.read(queue.head)
            if head == tail:
                return True
            if head != seen:
                seen, deadline = head, bar.now() + patience
            elif late:
                bar.check()
                return False
            bar.sleep(1e-4)

    def stop_queue(self, queue: TxRegisters) -> None:
        """4.6.8.1.2: off."""
        self.bar.clear(queue.control.ENABLE)
        self.bar.wait(queue.control.ENABLE, 0, timeout=QUEUE_TIMEOUT)


def _set_ring(bar: Bar, queue: RxRegisters | TxRegisters, ring: Block) -> None:
    """8.2.3.8.1 to 8.2.3.8.5, 8.2.3.9.5 to 8.2.3.9.9: base as the device sees it, bytes, head = tail: empty."""
    bar.write(queue.base_low, ring.iova & 0xFFFF_FFFF)
    bar.write(queue.base_high, ring.iova >> 32)
    bar.write(queue.length, ring.size)
    bar.write(queue.head, 0)
    bar.write(queue.tail, 0)
