# SPDX-License-Identifier: BSD-3-Clause
"""Header fields: their places in a frame, and the loops that gather and scatter them for a burst."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from dataplane.limits cimport BURST_MAX_PACKETS
from dataplane.mbuf cimport mbuf

cdef enum:
    LARGEST = 8  # bytes of a field that is a number; a wider one is a row of bytes


cdef class Field:
    cdef readonly str name
    cdef readonly int offset   # bytes from the first byte of the frame
    cdef readonly int width    # bytes in the frame
    cdef readonly int shift    # bits below it in those bytes
    cdef readonly uint64_t mask  # after the shift
    cdef readonly object dtype
    cdef bint whole            # all bits of its bytes


# First segments, as the loops want them: where each begins, and how long the shortest is.
cdef struct segments_t:
    int n
    uint32_t shortest
    mbuf **pkts
    uint8_t *start[BURST_MAX_PACKETS]


cdef void look_at(segments_t *s, mbuf **pkts, int n) noexcept nogil
# A column in host byte order, to items of the field's dtype; rows of bytes if it is wider than LARGEST.
cdef void gather(const segments_t *s, Field f, void *to) noexcept nogil
# One number for each packet, cut to the field's bits. Not for rows of bytes.
cdef void scatter(const segments_t *s, Field f, const uint64_t *values) noexcept nogil
# look_at, and both at once on the way, as below.
cdef bint look_at_two(segments_t *s, mbuf **pkts, int n, Field f, Field g, uint64_t *to_f, uint64_t *to_g) noexcept nogil
# Both at once, if they are two addresses side by side and every packet has them; else nothing, and False.
cdef bint gather_two(const segments_t *s, Field f, Field g, uint64_t *to_f, uint64_t *to_g) noexcept nogil
cdef bint scatter_two(const segments_t *s, Field f, Field g, const uint64_t *of_f, const uint64_t *of_g) noexcept nogil
# The field of one packet.
cdef uint64_t number_of(mbuf *m, Field f) noexcept nogil
