# SPDX-License-Identifier: BSD-3-Clause
"""Hand-off: an edge between two lcores. Its sending end is the last app on the one, its receiving end a source on the other.

Between them is a ring with one producer and one consumer. A burst lies in it as one word with its number of packets and
its bytes, followed by its packets: the receiver need not add up the lengths again, and a burst stays together.
"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t

from dataplane.app cimport App, Source
from dataplane.mbuf cimport mbuf
from dataplane.ring cimport ring_t

cdef enum:
    DROP_FULL = 0      # there was no room, and packets are not to wait
    DROP_STOPPED = 1   # the receiver had not taken them when the run ended
    DROP_REPLACED = 2  # they lay in a ring that another pipeline does not have


cdef class Channel:
    cdef ring_t *ring
    # Each is written by one end. closed: the sender sends no more; gone: the receiver takes no more.
    cdef readonly volatile uint32_t closed
    cdef readonly volatile uint32_t gone
    cdef readonly uint64_t sent    # packets put in; written by the sender
    cdef readonly uint64_t taken   # packets taken out; written by the receiver


cdef class HandoffTx(App):
    cdef readonly Channel channel
    cdef readonly HandoffRx rx
    cdef readonly bint waits            # when the ring is full; else packets are dropped
    # Receiving ends of the same lcore that may be polled while it waits: those behind it in the order of the graph. Without
    # that, two lcores that send to each other could wait for each other for ever.
    cdef tuple _later
    cdef void **later
    cdef bint ending              # its sources were done when it was looked at last
    cdef volatile uint32_t *halt  # set to stop the lcore that runs it; NULL: it cannot be stopped, so it waits briefly
    cdef uint32_t seen            # the receiver's tail, as it was when it was read last

    cdef int follow(self, later) except -1
    cdef uint32_t _poll_later(self) noexcept nogil
    cdef void _full(self, mbuf **pkts, uint16_t n) noexcept nogil
    cdef uint16_t _put_some(self, mbuf **pkts, uint16_t n) noexcept nogil


cdef class HandoffRx(Source):
    cdef readonly Channel channel
    cdef uint32_t seen            # the sender's tail, as it was when it was read last
