# SPDX-License-Identifier: BSD-3-Clause
"""Interrupts of a port's VFs: each has three vectors. The card's lock is held in every call."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from dataplane.pmd.model.shared cimport Clock, RegisterFile


cdef class VfInterrupts:
    cdef RegisterFile _registers
    cdef volatile uint32_t *regs
    cdef readonly Clock clock
    cdef uint64_t alive  # VFs that are there and may send messages
    cdef uint64_t waiting  # VFs with a vector that waits for the end of its interval
    cdef uint8_t[64] fresh  # vectors with a cause since their last message
    cdef uint8_t[64] masked  # MSI-X table: the vectors' mask bits
    cdef uint8_t[64] blocked  # MSI-X PBA: fired while masked
    cdef uint32_t[128] eitr  # VTEITR(0), VTEITR(1) of each VF
    cdef uint64_t[192] not_before  # ns
    cdef uint64_t[192] fires
    cdef int[192] eventfds

    # For the data path, by way of Interrupts: a cause of a queue that belongs to a VF's pool.
    cdef void queue_cause(self, uint32_t vf, int queue, bint tx) noexcept nogil
    cdef void step(self) noexcept nogil

    cdef void cause(self, uint32_t vf, uint32_t vectors) noexcept nogil
    cdef void _offer(self, uint32_t vf) noexcept nogil
    cdef void _signal(self, uint32_t vf, uint32_t vector) noexcept nogil
    cdef void _send(self, uint32_t vf, uint32_t vector) noexcept nogil
