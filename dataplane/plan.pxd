# SPDX-License-Identifier: BSD-3-Clause
"""Plan: what an lcore runs. Its apps, the links between them, and the queues at their ends."""

from libc.stdint cimport uint32_t


cdef class Plan:
    cdef void **sources
    cdef void **apps_at      # in the order of the graph
    cdef void **pythons      # those that take the GIL: their faults are looked at after each lap
    cdef void **queues_at
    cdef int n_sources, n_apps, n_pythons, n_queues
    cdef uint32_t lap        # packets that one lap may make at most; `acquire` reads it from the sources
    cdef readonly bint busy
    cdef readonly tuple apps, queues, links  # the pointers above are into these, and into `_kept`
    cdef tuple _kept         # the sources, and those that take the GIL
    cdef tuple _stages       # all that a lap touches, each once

    # Make this thread the one poller of all that a lap touches, and the end of it.
    cdef int acquire(self) except -1
    cdef void give_back(self) noexcept
    # Let apps send what they hold back.
    cdef void flush(self) noexcept nogil
