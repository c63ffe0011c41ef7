# SPDX-License-Identifier: BSD-3-Clause
"""What the model itself costs: only its steps are timed, the driver's part (descriptors, tails) is not.

A sends bursts to B over a perfect wire: Tx on one port and Rx on the other, as they alternate on one core.
"""

import os
import socket

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

import numpy as np

from dataplane.machine cimport tsc, wmb

from dataplane.memory.hugepage import Arena
from dataplane.pmd.datasheet import (
    DMATXCTL,
    FCTRL,
    HLREG0,
    MAXFRS,
    RDBAH,
    RDBAL,
    RDLEN,
    RDT,
    RXCSUM,
    RXCTRL,
    RXDCTL,
    RXPBSIZE,
    SRRCTL,
    TDBAH,
    TDBAL,
    TDLEN,
    TDT,
    TXDCTL,
    VLNCTRL,
)

from dataplane.pmd.model.datapath.engine cimport Engine
from dataplane.pmd.model.interrupts.pf cimport Interrupts
from dataplane.pmd.model.shared cimport Clock, RegisterFile
from dataplane.pmd.model.wire.port import PortWire
from dataplane.pmd.model.wire.greeting import make_memory
from dataplane.pmd.model.wire.peer import PeerWire

cdef enum:
    RING = 512
    BUFFER = 2304  # as far apart as mbufs
    PLAIN = 0x23300000  # advanced data, DEXT, IFCS, EOP
    RS = 1 << 27


cdef class Pair:
    """Two ports and a wire. `frame` is what A sends, without FCS. shared: the wire is one between processes."""

    cdef Engine a, b
    cdef object _arenas, _wire, _tx, _rx
    cdef uint64_t *tx_ring
    cdef uint64_t *rx_ring
    cdef uint64_t tx_room, rx_room
    cdef uint32_t at, size
    cdef bint shared
    cdef volatile uint32_t *tdt
    cdef volatile uint32_t *rdt

    def __init__(self, bytes frame, *, bint shared=False):
        self._arenas = []
        self.a, self.b, self.shared = self._engine("a"), self._engine("b"), shared
        self._wire = _shared_wire(self.a, self.b) if shared else PortWire(self.a, self.b)
        arena_a, arena_b = self._arenas
        self._tx = arena_a.alloc(RING * 16, align=128), arena_a.alloc(RING * BUFFER)
        self._rx = arena_b.alloc(RING * 16, align=128), arena_b.alloc(RING * BUFFER)
        self.tx_ring = <uint64_t *> <size_t> self._tx[0].address
        self.rx_ring = <uint64_t *> <size_t> self._rx[0].address
        self.tx_room, self.rx_room = self._tx[1].iova, self._rx[1].iova
        self.size = len(frame)
        cdef size_t room = self._tx[1].address
        cdef size_t n
        for n in range(RING):
            memcpy(<void *> (room + <size_t> n * BUFFER), <const uint8_t *> frame, self.size)
        for engine, ring, base, high, length in (
            (self.a, self._tx[0], TDBAL, TDBAH, TDLEN), (self.b, self._rx[0], RDBAL, RDBAH, RDLEN),
        ):
            engine.write(base[0].offset, ring.iova & 0xFFFFFFFF)
            engine.write(high[0].offset, ring.iova >> 32)
            engine.write(length[0].offset, RING * 16)
        self.b.write(SRRCTL[0].offset, SRRCTL[0].pack(BSIZEPACKET=2, DESCTYPE=1))
        self.b.write(RXDCTL[0].offset, RXDCTL[0].ENABLE.mask)
        self.a.write(TXDCTL[0].offset, TXDCTL[0].ENABLE.mask)
        self.tdt = <volatile uint32_t *> &self.a.regs[<uint32_t> TDT[0].offset >> 2]
        self.rdt = <volatile uint32_t *> &self.b.regs[<uint32_t> RDT[0].offset >> 2]

    def _engine(self, name):
        registers = RegisterFile()
        clock = Clock(True)
        engine = Engine(name, registers, Interrupts(registers, clock), clock)
        arena = Arena(8 << 20, name=name)
        engine.domain.map(arena.iova, arena.size, arena.address)
        self._arenas.append(arena)
        for line in (HLREG0, MAXFRS, DMATXCTL, VLNCTRL):
            engine.write(line.offset, line.reset)
        engine.write(DMATXCTL.offset, DMATXCTL.reset | DMATXCTL.TE.mask)
        engine.write(RXPBSIZE[0].offset, 512 << 10)
        engine.write(RXCSUM.offset, RXCSUM.PCSD.mask)
        engine.write(FCTRL.offset, FCTRL.pack(UPE=1, MPE=1, BAM=1))
        engine.write(RXCTRL.offset, RXCTRL.RXEN.mask)
        return engine

    def cycles(self, uint32_t burst, uint32_t rounds):
        """Cycles a packet, medians over bursts: (Tx, Rx). Raises RuntimeError if a packet is missing."""
        cdef uint64_t begin, middle, arrived = 0
        cdef uint32_t i, round, at, rs
        spent_tx, spent_rx = np.zeros(rounds), np.zeros(rounds)
        cdef double[::1] tx = spent_tx, rx = spent_rx
        with nogil:
            for round in range(rounds):
                for i in range(burst):
                    at = (self.at + i) & (RING - 1)
                    rs = RS if (i + 1) % 32 == 0 else 0
                    self.rx_ring[at * 2] = self.rx_room + at * BUFFER
                    self.rx_ring[at * 2 + 1] = 0
                    self.tx_ring[at * 2] = self.tx_room + at * BUFFER
                    self.tx_ring[at * 2 + 1] = self.size | PLAIN | rs | <uint64_t> (self.size << 14) << 32
                at = self.at
                self.at = (self.at + burst) & (RING - 1)
                wmb()
                self.rdt[0] = self.at
                self.tdt[0] = self.at
                begin = tsc()
                self.a.step(64)
                if self.shared:
                    self.a.step(64)  # what a step fetches leaves for the other process in the next one
                middle = tsc()
                self.b.step(64)
                rx[round] = tsc() - middle
                tx[round] = middle - begin
                for i in range(burst):
                    arrived += self.rx_ring[((at + i) & (RING - 1)) * 2 + 1] & 1
        if arrived != burst * rounds:
            raise RuntimeError(f"{burst * rounds} packets left and {arrived} arrived")
        return float(np.median(spent_tx)) / burst, float(np.median(spent_rx)) / burst


def _shared_wire(a, b):
    """Both ends of a wire between processes, in one."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ends = PeerWire(a), PeerWire(b)
    memory = make_memory()
    try:
        ends[0].connect(near.detach(), memory, True)
        ends[1].connect(far.detach(), memory, False)
    finally:
        os.close(memory)
    return ends
