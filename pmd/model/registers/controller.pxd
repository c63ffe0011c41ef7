# SPDX-License-Identifier: BSD-3-Clause
"""One port's register file with its side effects."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from dataplane.pmd.model.interrupts.pf cimport Interrupts
from dataplane.pmd.model.registers.rules cimport access_masks_t, RuleTable
from dataplane.pmd.model.shared cimport CardLock, Clock, DataPath, RegisterFile

cdef enum:
    TIMERS = 512
    STUCK = 16


# What happens later: at `when` (ns) regs[word] becomes (regs[word] & ~clear) | set, and `cause` goes to EICR.
cdef struct Timer:
    uint64_t when
    uint32_t word
    uint32_t clear
    uint32_t set
    uint32_t cause


# Bits that a fault holds at 0 or 1.
cdef struct Stuck:
    uint32_t word
    uint32_t mask
    uint32_t value


cdef class Controller:
    cdef readonly str name
    cdef readonly int port
    cdef readonly RegisterFile registers
    cdef readonly Interrupts interrupts
    cdef readonly Clock clock
    cdef readonly CardLock lock
    cdef readonly DataPath engine
    cdef volatile uint32_t *regs
    cdef Timer[TIMERS] timers
    cdef int timer_count
    cdef uint64_t next_timer
    cdef Stuck[STUCK] stuck
    cdef int stuck_count
    cdef readonly bint gone  # pulled out: every read is all ones
    cdef readonly bint asleep  # memory decoding is off, or the function is in D3: the same, but it comes back
    cdef public uint32_t read_ns, write_ns  # what an access costs on a virtual clock
    cdef public object trace  # callable(kind, offset, value), or None
    cdef public object strict  # pmd.model.strict.pf.Strict, or None
    cdef public object config  # pmd.model.config.pf.PfConfig, or None
    cdef public object on_carrier  # callable(bool), called under the lock: the other end of the wire appeared or went
    cdef RuleTable _table  # owns `rules`
    cdef access_masks_t *rules
    cdef dict _on_read
    cdef dict _on_write

    cpdef uint32_t read(self, uint32_t offset) except? 0xFFFFFFFF
    cpdef int write(self, uint32_t offset, uint32_t value) except -1
    cdef uint32_t _read(self, uint32_t offset) except? 0xFFFFFFFF
    cdef int _write(self, uint32_t offset, uint32_t value) except -1
    cdef void _elapse(self, uint64_t ns) noexcept nogil
    cdef uint32_t _answer(self, uint32_t word) except? 0xFFFFFFFF
    cdef int _take(self, uint32_t word, uint32_t value) except -1
    cdef bint _native_write(self, uint32_t word, uint32_t value) noexcept nogil
    cdef volatile uint32_t *_at(self, uint32_t word) noexcept nogil
    cdef void _store(self, uint32_t word, uint32_t value) noexcept nogil
    cdef void _tell(self, uint32_t word) noexcept nogil
    cdef uint32_t _hold(self, uint32_t word, uint32_t value) noexcept nogil
    cdef bint _carrier
    cdef void run_timers(self, uint64_t now) noexcept nogil
    cdef void _look_at_wire(self) noexcept nogil
    cdef void _raise_offences(self) except *
