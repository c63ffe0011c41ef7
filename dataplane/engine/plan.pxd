# SPDX-License-Identifier: BSD-3-Clause
"""Plan: what an lcore runs. Its apps, the links between them, and the queues at their ends."""

from libc.stdint cimport uint32_t


cdef class Plan:
    cdef void **sources
    cdef void **apps_at      # in the order of the graph
    cdef void **pythons      # those that take the GIL: their faults are looked at after each lap
    cdef void **queues_at
    cdef void **takes        # receiving ends of hand-offs, which are no sources here: what they bring was counted elsewhere
    cdef void **ends         # sending ends of hand-offs
    cdef void **feeds        # for each of those: all sources and receiving ends that lead to it, and NULL
    cdef int n_sources, n_apps, n_pythons, n_queues, n_takes, n_ends
    cdef uint32_t lap        # packets that one lap may make at most; `acquire` reads it from the sources
    cdef readonly tuple apps, queues, links  # the pointers above are into these, and into `_kept`
    cdef tuple _kept         # the sources, those that take the GIL, receiving ends, sending ends
    cdef dict _later         # by id of a sending end, the receiving ends that it may poll while it waits
    cdef tuple _stages       # all that a lap touches, each once

    # Make this thread the one poller of all that a lap touches, and the end of it.
    cdef int acquire(self) except -1
    cdef void give_back(self) noexcept
    # Let apps send what they hold back.
    cdef void flush(self) noexcept nogil
    # Poll each receiving end once; returns how many packets there were.
    cdef uint32_t take(self) noexcept nogil
    # Whether no more packets can come: all sources and receiving ends are done.
    cdef bint over(self) noexcept nogil
    # Close the sending ends to which nothing more can come; returns whether there was one. Called after `flush`, repeatedly.
    cdef bint close_ends(self) noexcept nogil
    # Say that no source will be polled any more / that this lcore neither sends nor receives by hand-offs any more.
    cdef void end_sources(self) noexcept nogil
    cdef void let_go(self) noexcept nogil
