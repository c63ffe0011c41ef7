# SPDX-License-Identifier: BSD-3-Clause
"""The loop of an lcore: polls the sources of its plan until it is stopped, they are done, or a stage fails."""

from libc.stdint cimport uint32_t, uint64_t

from dataplane.engine.idle cimport Idle
from dataplane.engine.plan cimport Plan
from dataplane.engine.profiler cimport Profiler

cpdef enum:
    # Why a loop ended.
    STOPPED = 1  # `stop` was called, or the laps asked for are over
    DONE = 2     # all sources are done
    COUNTED = 3  # the sources made as many packets as were asked for
    FAULT = 4    # a stage has a fault
    ASKED = 5    # another thread waits for a call between two laps


cdef class Loop:
    cdef readonly Plan plan
    cdef readonly Plan coming      # its apps are started: the lcore waits for `swap` or `forget`
    cdef Idle _idle
    cdef readonly Profiler profiler  # measures a lap now and then; None: none
    cdef uint64_t _measured_at     # number of the next lap that it measures
    cdef volatile uint32_t _stop
    cdef volatile uint32_t _asked  # something happens between two laps: a stop, or calls
    cdef list _opened
    cdef list _calls
    cdef object _lock              # of _calls and _over
    cdef object _wake
    cdef bint _over
    cdef bint _hushed              # sources are not polled: hand-offs are emptied for a plan that is replaced
    cdef bint _ending              # the same for good: the loop was stopped, or its sources have made all that was asked for
    # laps: times that all sources were polled; empty: laps that found nothing; packets: that the sources made
    cdef readonly uint64_t laps, empty, packets
    cdef readonly uint64_t began, ended  # TSC
    cdef uint64_t _looked          # TSC when it looked for the devices of its queues

    cdef int _run_laps(self, Plan plan, uint64_t laps, uint64_t count) noexcept nogil
    cdef uint64_t _rare_lap(self, Plan plan, uint64_t left) noexcept nogil
    cdef int _fault(self, Plan plan) noexcept nogil
    cdef int _ferry(self, Plan plan) noexcept nogil
    cdef void _look(self, Plan plan) noexcept nogil
    cdef uint32_t _last_lap(self, Plan plan, uint64_t left) noexcept nogil
    cdef int _pause(self, Plan plan, bint idle, uint64_t empty) noexcept nogil
