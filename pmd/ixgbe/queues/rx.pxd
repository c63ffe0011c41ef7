# SPDX-License-Identifier: BSD-3-Clause
"""The Rx queue of an 82599, for PF and VF, which differ in the addresses of a queue's registers.

Shared memory is laid out for vectors: descriptors are an array of 16 bytes each, `sw` an array of mbuf pointers with the same
index, and the words of an mbuf are written whole.
"""

cimport cython
from libc.stdint cimport uint16_t, uint32_t, uint64_t

from dataplane.mbuf cimport mbuf, mempool_t
from dataplane.queue cimport RxQueue
from dataplane.pmd.datasheet.hw82599 cimport hw_rx_desc
from dataplane.pmd.ixgbe.queues.gate cimport gate_t
from dataplane.pmd.ixgbe.queues.kernels cimport kernels_t, rx_meta_t
from dataplane.pmd.ixgbe.queues.merged cimport merge_t
from dataplane.pmd.ixgbe.queues.tail cimport tail_t


@cython.final
cdef class IxgbeRxQueue(RxQueue):
    # The fields that a burst accesses come first, in as few cache lines as possible: each of these may have left the
    # nearest cache since the last burst.
    cdef gate_t gate
    cdef hw_rx_desc *ring
    cdef mbuf **sw              # the mbuf behind each descriptor
    cdef tail_t tail
    cdef mempool_t *pool
    cdef const kernels_t *kernel
    cdef uint32_t length
    cdef readonly uint32_t next  # the descriptor to look at
    cdef uint32_t fill          # the descriptor to give a buffer next
    cdef uint32_t missing       # descriptors from `fill` to `next` without a buffer; below length, always
    cdef uint32_t threshold     # buffers taken from the pool, and given to the NIC, at once
    cdef uint32_t seen          # descriptors taken so far
    cdef uint32_t patience      # polls without a packet until `status` is read
    cdef bint hides             # do not report the tag that the NIC strips
    cdef mbuf *first            # of a packet whose last buffer has not arrived yet
    cdef mbuf *last
    cdef rx_meta_t meta       # what to write into every packet
    cdef merge_t merge          # with merging: packets that are not whole yet
    cdef volatile uint32_t *status      # reads all ones when the device is gone
    cdef uint32_t reserve       # armed descriptors that suffice while the pool is empty
    cdef int wakes              # the eventfd that wakes the device; -1: it does not rest
    cdef readonly uint64_t alloc_failures
    cdef object _mempool        # kept alive
    cdef object _memory         # of the descriptor ring
    cdef object _waker

    cdef uint16_t receive(self, mbuf **pkts, uint16_t n) noexcept nogil
    cdef void refill(self) noexcept nogil
    cdef void advance(self, uint32_t n) noexcept nogil
    cdef mbuf *take_piece(self) noexcept nogil
    cdef void look_for_device(self) noexcept nogil
