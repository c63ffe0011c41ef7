# SPDX-License-Identifier: BSD-3-Clause
"""Interrupts of one port: causes, masks, moderation, vectors. The card's lock is held in every call."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from dataplane.pmd.model.interrupts.vf cimport VfInterrupts
from dataplane.pmd.model.shared cimport Clock, RegisterFile

# Returns when it has something to do again, as far as it knows: ns of the card's clock, or the highest number for never.
ctypedef uint64_t (*timers_t)(void *self, uint64_t now) noexcept nogil


cdef class Interrupts:
    cdef RegisterFile _registers
    cdef volatile uint32_t *regs
    cdef readonly Clock clock
    cdef readonly VfInterrupts vfs  # where causes of queues that belong to VFs go
    cdef uint64_t vf_pools  # as in mdl_port
    cdef uint32_t pool_shift
    cdef uint64_t pending  # vectors with a queue cause that the driver has not taken
    cdef uint64_t fresh  # vectors with a cause since their last message
    cdef uint64_t held  # vectors that wait for the end of their EITR interval
    cdef uint64_t masked  # MSI-X table: the vector's mask bit
    cdef uint64_t blocked  # MSI-X PBA: fired while masked
    cdef uint64_t[64] not_before  # ns
    cdef readonly uint64_t fired
    cdef uint64_t[64] fires
    cdef int[64] eventfds
    cdef bint dead
    cdef timers_t timers  # the controller's timers
    cdef uint64_t next_timer  # what `timers` has returned last
    cdef void *timers_self
    cdef object timers_owner  # keeps it alive

    # For the data path.
    cdef void rx_cause(self, int queue) noexcept nogil  # a packet was written back to Rx queue `queue`
    cdef void tx_cause(self, int queue) noexcept nogil  # descriptors of Tx queue `queue` were written back
    cdef void other_cause(self, uint32_t eicr_bits) noexcept nogil  # EICR[31:16]: LSC, RX_MISS, MAILBOX, ...
    cdef void step(self) noexcept nogil  # call once in every Engine.step: moderation ends, delays of the chip elapse

    # For the controller.
    cdef void reset(self) noexcept nogil
    cdef uint32_t read_eicr(self) noexcept nogil
    cdef void write_eicr(self, uint32_t value) noexcept nogil
    cdef void write_eics(self, int bank, uint32_t value) noexcept nogil  # bank -1: EICS; 0, 1: EICS_EX
    cdef void write_mask(self, int bank, uint32_t value, bint on) noexcept nogil  # EIMS, EIMC likewise
    cdef bint _is_vf_s(self, int queue, bint tx) noexcept nogil
    cdef void _queue_cause(self, uint8_t ivar) noexcept nogil
    cdef void _vector_cause(self, int vector) noexcept nogil
    cdef void _offer(self) noexcept nogil
    cdef uint64_t _messages_of(self, uint64_t vectors) noexcept nogil
    cdef uint64_t _vectors_of(self, uint32_t others) noexcept nogil
    cdef void _signal(self, int vector) noexcept nogil
    cdef void set_mask(self, int vector, bint on) noexcept nogil
