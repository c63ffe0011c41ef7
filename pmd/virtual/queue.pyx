# SPDX-License-Identifier: BSD-3-Clause
"""Queues of all virtual ports: their counters, and how they take mbufs."""

from libc.string cimport memcpy

from dataplane.mbuf cimport data
from dataplane.stage cimport Stage

from dataplane.errors import PortError


cdef int check_unused(Stage queue) except -1:
    if queue.poller:
        raise PortError(f"{queue!r} is polled by thread {queue.polled_by}: stop that before the queue is changed")
    return 0


cdef class VirtualRx(RxQueue):
    """An Rx queue with its counters."""

    cpdef int attach(self, Mempool mempool) except -1:
        """Take mbufs from `mempool` from now on; None: from no pool. Raises PortError while it is polled."""
        check_unused(self)
        self._mempool = mempool
        self.pool = NULL if mempool is None else mempool.pool
        self.exhausted = False
        self.fault = 0
        return 0

    cdef int check_ready(self) except -1:
        RxQueue.check_ready(self)
        if self.pool == NULL:
            raise PortError(f"{self!r} has no mempool: it is none of its port's queues, or the port was not started")
        return 0

    cdef uint16_t take_fewer(self, mbuf **pkts, uint16_t n) noexcept nogil:
        self.no_mbuf += 1
        while n > 1:
            n //= 2
            if alloc_bulk(self.pool, pkts, n) == 0:
                return n
        return 0

    cdef int fill_chain(self, mbuf *first, const void *frame, uint32_t length) noexcept nogil:
        cdef uint32_t room = self.pool.data_room
        cdef uint32_t here = min(length, room)
        cdef uint32_t at = here
        cdef mbuf *last = first
        cdef mbuf *m
        memcpy(data(first), frame, here)
        first.data_len = <uint16_t> here
        while at < length:
            if alloc_bulk(self.pool, &m, 1):
                self.no_mbuf += 1
                return -1
            here = min(length - at, room)
            arrived(m, here)
            memcpy(data(m), <const char *> frame + at, here)
            last.next = m
            last = m
            first.nb_segs += 1
            at += here
        return 0

    @property
    def counters(self):
        """Its counters since it was made, by name."""
        return {
            "packets": self.packets,
            "bytes": self.bytes,
            "missed": self.missed,
            "errors": self.errors,
            "no_mbuf": self.no_mbuf,
        }


cdef class VirtualTx(TxQueue):
    """A Tx queue with its counters."""

    cpdef int attach(self) except -1:
        """Be ready to send, whatever stopped it before. Raises PortError while it is polled."""
        check_unused(self)
        self.fault = 0
        return 0

    @property
    def counters(self):
        """Its counters since it was made, by name."""
        return {
            "packets": self.packets,
            "bytes": self.bytes,
            "errors": self.errors,
            "link_down": self.link_down,
        }
