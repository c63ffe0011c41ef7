# SPDX-License-Identifier: BSD-3-Clause
"""A burst as Python sees it: header fields of all its packets as NumPy columns, and each packet as a view."""

from cpython.ref cimport PyObject
from libc.stdint cimport uint8_t, uint16_t

from dataplane.columns.field cimport Field, segments_t
from dataplane.mbuf cimport mbuf

cdef enum:
    # Results of `verdict` other than an edge (>= 0) that all packets leave by.
    VERDICT_SPLIT = -2
    VERDICT_FAILED = -3


cdef class Burst:
    cdef mbuf **pkts
    cdef int n            # -1: it is over
    cdef bint seen        # `segments` is as the packets are
    cdef segments_t segments
    cdef uint8_t *fate    # of each packet; valid if `marked`
    cdef bint marked      # something was dropped
    cdef bint resized     # packets have other lengths than they came with
    cdef int exports      # memoryviews of its packets
    cdef readonly str app
    cdef int _edges
    cdef tuple _drops
    cdef list _spare      # columns that may be used again
    cdef int _next_spare

    cdef void open(self, mbuf **pkts, uint16_t n, uint8_t *fate) noexcept
    # Where the packets go: one edge, or VERDICT_SPLIT with `fate` filled in.
    cdef int verdict(self, object result) except -1
    # End all access. Returns False if it is still referenced elsewhere: then it must not be opened again.
    cdef bint close(self) except -1
    cdef int check(self) except -1
    cdef const segments_t *look(self) noexcept
    cdef object _packet(self, index)
    cdef object _set_rows(self, Field f, value)
    cdef tuple _gather_together(self, tuple fields)
    cdef object _scatter_together(self, tuple fields, object values)
    cdef int _fields(self, tuple fields, PyObject **which) except -1


cdef class Packet:
    cdef Burst burst
    cdef int index
    cdef int exports      # memoryviews of it
    cdef object _pool     # the mempool of its memory, as long as there are memoryviews

    cdef mbuf *get(self) except NULL
