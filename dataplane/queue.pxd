# SPDX-License-Identifier: BSD-3-Clause
"""The fast path of a port: one Rx queue, one Tx queue. One lcore at a time polls a queue."""

from libc.stdint cimport uint16_t, uint64_t

from dataplane.mbuf cimport mbuf
from dataplane.stage cimport Stage


cdef class RxQueue(Stage):
    cdef readonly object port
    cdef readonly int index
    # Set from rx_burst when no packet will ever come again (a capture file at its end): a source may report `done`.
    # A file that ends in damage sets `fault` too, after its last whole record was taken.
    cdef readonly volatile bint exhausted

    # Bytes of the packets that rx_burst returned last, from a queue that has summed them up anyway; 0: it has not.
    cdef uint64_t burst_bytes

    # Up to n packets that have arrived; returns how many. The caller owns them.
    cdef uint16_t rx_burst(self, mbuf **pkts, uint16_t n) noexcept nogil


cdef class TxQueue(Stage):
    cdef readonly object port
    cdef readonly int index

    # Bytes of the packets that tx_burst is about to be called with, if the caller knows; a queue that asks sets it to 0.
    cdef uint64_t burst_bytes

    # Take up to n packets to send; returns how many it took: it owns the first ones, the caller still owns the rest.
    cdef uint16_t tx_burst(self, mbuf **pkts, uint16_t n) noexcept nogil
    # Let go of what was sent and push out what is buffered; the engine calls it when an lcore is idle and when it stops.
    cdef void flush(self) noexcept nogil
