# SPDX-License-Identifier: BSD-3-Clause
"""Profiler: cycles per packet of each app of an lcore, from laps that are measured now and then."""

from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t

from dataplane.app cimport App
from dataplane.mbuf cimport mbuf
from dataplane.engine.plan cimport Plan

cdef enum:
    # Laps from one measured lap to the next. A prime: with a power of 2, measured laps would always meet a descriptor ring
    # at the same places, such as where the queue frees what it has sent.
    GAP = 61
    KEPT = 1024  # samples of an app: the newest


cdef class Spent:
    cdef int64_t cycles  # taken by the apps behind the one that is measured, with what measuring them takes


cdef class Meter(App):
    cdef readonly App target
    cdef Spent _spent
    cdef int64_t *spent            # &_spent.cycles
    cdef uint64_t samples[KEPT]    # cycles << 16 | packets, of one burst
    cdef uint64_t count            # samples taken so far

    cdef void note(self, int64_t cycles, uint16_t n) noexcept nogil


cdef class Profiler:
    cdef Plan _plan                # keeps alive what the pointers below are into
    cdef Spent _spent
    cdef dict _meters, _gone       # by id of an app: its Meter
    cdef void **edges              # edge_t *: the joined edges of the plan
    cdef void **targets            # App: where each leads
    cdef void **stand_ins          # Meter: where it leads on a measured lap
    cdef void **source_meters      # Meter of each source
    cdef int n_edges

    # Poll each source and each hand-off of the plan once, measured. Returns how many packets the sources made, and in the upper
    # half how many came by hand-offs. Between laps all edges lead to the apps.
    cdef uint64_t lap(self) noexcept nogil
