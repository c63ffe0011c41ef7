# SPDX-License-Identifier: BSD-3-Clause
"""The Tx queue of an 82599, for PF and VF, which differ in the addresses of a queue's registers.

Shared memory is laid out for vectors, as in rx.pxd.
"""

cimport cython
from libc.stdint cimport uint16_t, uint32_t, uint64_t

from dataplane.mbuf cimport mbuf, mempool_t
from dataplane.queue cimport TxQueue
from dataplane.pmd.datasheet.hw82599 cimport hw_tx_desc
from dataplane.pmd.ixgbe.queues.gate cimport gate_t
from dataplane.pmd.ixgbe.queues.kernels cimport alike_t, kernels_t
from dataplane.pmd.ixgbe.queues.tail cimport tail_t

# Descriptors that end with the one that has RS: all are done when the NIC has written DD in `last`.
cdef struct descriptor_run_t:
    mempool_t *pool     # of every mbuf of the run; NULL: not all of one, or descriptors without one
    uint32_t last


@cython.final
cdef class IxgbeTxQueue(TxQueue):
    # The fields that every burst accesses come first, as in the Rx queue.
    cdef gate_t gate
    cdef hw_tx_desc *ring
    cdef mbuf **sw              # the mbuf whose data a descriptor sends; NULL: a context
    cdef tail_t tail
    cdef const kernels_t *kernel
    cdef alike_t alike          # which packets the kernel sends
    cdef descriptor_run_t *runs  # in order; indices count up and are masked
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
    cdef readonly bint cuts         # it has sent a packet that the NIC cuts into several (TSO)
    cdef object _memory
    cdef object _waker

    cdef uint16_t send(self, mbuf **pkts, uint16_t n) noexcept nogil
    cdef void reclaim(self) noexcept nogil
    cdef void release(self, descriptor_run_t *run) noexcept nogil
    cdef void close_run(self) noexcept nogil
    cdef uint32_t send_alike(self, mbuf **pkts, uint32_t n) noexcept nogil
    cdef uint32_t send_chain(self, mbuf *m) noexcept nogil
    cdef void wrote(self, uint32_t n) noexcept nogil
    cdef bint send_one(self, mbuf *m) noexcept nogil
    cdef void expect(self, mbuf *m, uint64_t command) noexcept nogil
    cdef int context_for(self, mbuf *m) noexcept nogil
