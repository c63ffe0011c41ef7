# SPDX-License-Identifier: BSD-3-Clause
"""The hot loops of the 82599: one copy for PF and VF, which differ only in where a queue's registers lie.

Shared memory is laid out for vectors: descriptors are an array of 16 bytes each, `sw` an array of mbuf pointers with the same
index, and an mbuf's words are written whole.
"""

cimport cython
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from dataplane.mbuf cimport mbuf, mempool_t
from dataplane.queue cimport RxQueue, TxQueue
from dataplane.pmd.datasheet.hw82599 cimport hw_rx_desc, hw_tx_desc
from dataplane.pmd.ixgbe.queues.gate cimport gate_t
from dataplane.pmd.ixgbe.queues.kernels cimport alike_t, kernels_t, rx_rules_t
from dataplane.pmd.ixgbe.queues.merged cimport merge_t
from dataplane.pmd.ixgbe.queues.tail cimport tail_t


@cython.final
cdef class IxgbeRxQueue(RxQueue):
    # What a burst touches comes first, in as few cache lines as it takes: what else the core has done since the last burst
    # may have taken each of them out of its nearest cache.
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
    cdef uint32_t patience      # polls in vain until the device is looked for
    cdef bint hides             # the tag that the NIC takes off is not for the application
    cdef mbuf *first            # of a packet whose last buffer has not arrived yet
    cdef mbuf *last
    cdef rx_rules_t rules       # what to write into every packet
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


# Descriptors up to `last` are done when the NIC has written DD there.
cdef struct run_t:
    mempool_t *pool     # of every mbuf of the run; NULL: not all of one, or descriptors without one
    uint32_t last


@cython.final
cdef class IxgbeTxQueue(TxQueue):
    # First what every burst touches, as in the Rx queue.
    cdef gate_t gate
    cdef hw_tx_desc *ring
    cdef mbuf **sw              # the mbuf whose data a descriptor sends; NULL: a context
    cdef tail_t tail
    cdef const kernels_t *kernel
    cdef alike_t alike          # which packets the kernel sends
    cdef run_t *runs            # in order; indices count up and are masked
    cdef uint32_t runs_mask
    cdef uint32_t run_first
    cdef uint32_t run_end
    cdef uint32_t length
    cdef readonly uint32_t next  # the descriptor to write
    cdef uint32_t clean         # the oldest one not let go of
    cdef uint32_t free          # descriptors that may be written: one always stays empty
    cdef uint32_t rs_thresh
    cdef uint32_t open_run      # descriptors written since the last RS
    cdef uint32_t most_segments  # of a packet
    cdef mempool_t *open_pool   # of the first mbuf among them
    cdef uint64_t open_mixed    # not 0: they are not all of that pool
    cdef uint64_t[2][2] contexts    # what the NIC's two context slots hold
    cdef uint32_t context       # the slot used last
    cdef uint32_t check         # CC: every descriptor names a context, slot 0 is that of plain packets
    cdef uint32_t frame_max     # bytes without FCS and tags: what MAXFRS says
    cdef uint32_t refusals
    cdef volatile uint32_t *status
    cdef int wakes
    cdef readonly uint64_t errors   # packets that the chip cannot send: counted, freed
    cdef object _memory
    cdef object _waker

    cdef uint16_t send(self, mbuf **pkts, uint16_t n) noexcept nogil
    cdef void reclaim(self) noexcept nogil
    cdef void release(self, run_t *run) noexcept nogil
    cdef void close_run(self) noexcept nogil
    cdef uint32_t send_alike(self, mbuf **pkts, uint32_t n) noexcept nogil
    cdef uint32_t send_chain(self, mbuf *m) noexcept nogil
    cdef void wrote(self, uint32_t n) noexcept nogil
    cdef bint send_one(self, mbuf *m) noexcept nogil
    cdef void expect(self, mbuf *m, uint64_t command) noexcept nogil
    cdef int context_for(self, mbuf *m) noexcept nogil
