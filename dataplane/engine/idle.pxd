# SPDX-License-Identifier: BSD-3-Clause
"""Idle: what an lcore does after laps that found nothing. The one place that says so."""

from libc.stdint cimport uint64_t

cdef enum:
    # Policies.
    SPIN = 0
    YIELD = 1
    SLEEP = 2
    SPINS = 64   # empty laps in a row until the core is offered to others
    YIELDS = 64  # more until an lcore that may sleep does


cdef class Idle:
    cdef int _policy
    cdef uint64_t _bound_ns  # of one sleep

    # Called after each empty lap; empty: how many it were in a row. Returns whether it let others have the core.
    cdef bint rest(self, uint64_t empty) noexcept nogil
    # For the lcore's thread before its first lap: let sleeps end on time.
    cdef void enter(self) noexcept nogil
