# SPDX-License-Identifier: BSD-3-Clause
"""What the engine puts round a queue so that it is an app like any other: the head and the tail of a pipeline."""

from libc.stdint cimport uint16_t, uint32_t, uint64_t

from dataplane.app cimport App, Source
from dataplane.mbuf cimport mbuf
from dataplane.queue cimport RxQueue, TxQueue

# Seconds from one look for the device to the next, while nothing moves.
cdef double LOOK_SECONDS

cdef enum:
    DROP_TX_FULL = 0
    DROP_STOPPED = 1


cdef class RxStage(Source):
    cdef readonly RxQueue queue


cdef class TxStage(App):
    cdef readonly TxQueue queue
    cdef uint64_t patience        # cycles without progress until packets are dropped; 0: until `halt`
    cdef volatile uint32_t *halt  # set to stop its lcore; NULL: no other thread can stop it, so waits are limited
    cdef readonly uint64_t sent     # packets that the queue took since the run began
    cdef readonly uint64_t retries  # bursts that the queue did not take at once
    cdef uint64_t looked            # TSC when it looked for the device

    cdef void _wait(self, mbuf **pkts, uint16_t n) noexcept nogil
