# SPDX-License-Identifier: BSD-3-Clause
"""Queues of all virtual ports: their counters, and how they take mbufs."""

from libc.stdint cimport uint16_t, uint32_t, uint64_t

from dataplane.machine cimport likely
from dataplane.mbuf cimport bytes_of, mbuf, mempool_t, rearm, set_arrival
from dataplane.mempool cimport Mempool, alloc_bulk
from dataplane.queue cimport RxQueue, TxQueue
from dataplane.stage cimport Stage


# Raise PortError if a thread polls that queue now.
cdef int check_unused(Stage queue) except -1


cdef class VirtualRx(RxQueue):
    cdef uint64_t packets
    cdef uint64_t bytes
    cdef uint64_t missed    # arrived and were lost before we saw them
    cdef uint64_t errors    # came damaged or in a shape that cannot be passed on
    cdef uint64_t no_mbuf   # packets that had to wait or were lost because the mempool was empty
    cdef mempool_t *pool    # from start to stop
    cdef Mempool _mempool

    # Raises PortError while it is polled, as `VirtualTx.attach` does.
    cpdef int attach(self, Mempool mempool) except -1
    # Less than n mbufs, when the pool has no n any more.
    cdef uint16_t take_fewer(self, mbuf **pkts, uint16_t n) noexcept nogil
    # Lays `length` bytes down in as many segments as they need, of which the first is there. 0, or -1: no mbuf left.
    cdef int fill_chain(self, mbuf *first, const void *frame, uint32_t length) noexcept nogil


cdef class VirtualTx(TxQueue):
    cdef uint64_t packets
    cdef uint64_t bytes
    cdef uint64_t errors    # taken and not sent: what was behind the port refused them
    cdef uint64_t link_down  # taken and not sent: the interface behind the port was down

    cpdef int attach(self) except -1


cdef inline uint16_t take(VirtualRx queue, mbuf **pkts, uint16_t n) noexcept nogil:
    """n mbufs, or as many as the pool still has."""
    if likely(alloc_bulk(queue.pool, pkts, n) == 0):
        return n
    return queue.take_fewer(pkts, n)


# Bytes of n packets about to be sent. The caller may have set `burst_bytes` to the total.
cdef inline uint64_t weight(VirtualTx queue, mbuf **pkts, uint16_t n) noexcept nogil:
    cdef uint64_t told = queue.burst_bytes
    queue.burst_bytes = 0
    return told if likely(told != 0) else bytes_of(pkts, n)


cdef inline void arrived(mbuf *m, uint32_t length) noexcept nogil:
    """Fill the mbuf of a packet without metadata: `length` bytes in one segment, its time not known."""
    rearm(m, 0)
    m.ol_flags = 0
    m.packet_type = 0
    m.pkt_len = length
    m.data_len = <uint16_t> length
    m.vlan_tci = 0
    m.rss_hash = 0


cdef inline void arrived_at(mbuf *m, uint32_t length, uint64_t timestamp_ns) noexcept nogil:
    """Like `arrived`, for a packet with a time: ns since 1970."""
    arrived(m, length)
    set_arrival(m, timestamp_ns)
