# SPDX-License-Identifier: BSD-3-Clause
"""The loop of an lcore: polls the sources of its pipelines until it is stopped, they are done, or a stage fails."""

from libc.stdint cimport uint32_t, uint64_t

cpdef enum:
    # Why a loop ended.
    STOPPED = 1  # `stop` was called, or the laps asked for are over
    DONE = 2     # all sources are done
    COUNTED = 3  # the sources made as many packets as were asked for
    FAULT = 4    # a stage has a fault


cdef class Loop:
    cdef void **_sources
    cdef void **_apps     # in the order of the graph
    cdef void **_pythons  # those that take the GIL: their faults are looked at after each lap
    cdef void **_queues
    cdef int _n_sources, _n_apps, _n_pythons, _n_queues
    cdef uint32_t _lap    # packets that one lap may make at most
    cdef bint _busy
    cdef volatile uint32_t _stop
    cdef readonly tuple apps, queues, links  # the pointers above are into these, and into `_kept`
    cdef tuple _kept      # the sources, and those that take the GIL
    cdef tuple _stages    # all that `spin` touches, each once
    cdef list _opened
    # laps: times that all sources were polled; empty: laps that found nothing; packets: that the sources made
    cdef readonly uint64_t laps, empty, packets
    cdef readonly uint64_t began, ended  # TSC

    cdef int _claim(self) except -1
    cdef void _release(self) noexcept
    cdef int _spin(self, uint64_t laps, uint64_t count) noexcept nogil
    cdef uint32_t _last_lap(self, uint64_t left) noexcept nogil
    cdef int _pause(self, bint idle, uint64_t empty) noexcept nogil
