# SPDX-License-Identifier: BSD-3-Clause
"""Writes the frames of a `Flows` into mbufs, without Python: a template copied, and stamps on it."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from dataplane.mbuf cimport mbuf

# The records of apps/flows/program.py.

cdef struct axis_t:
    uint64_t count
    uint32_t template_step
    uint32_t free

cdef struct stamp_t:
    uint64_t base
    uint64_t step
    int64_t table
    uint32_t axis
    uint16_t offset
    uint8_t width
    uint8_t shift
    uint32_t merge
    uint32_t reserved

cdef struct sum_t:
    uint32_t constant
    uint16_t offset
    uint16_t zero_is_ffff
    uint64_t first_coefficient

cdef struct template_t:
    uint64_t first_byte
    uint32_t length
    uint32_t first_stamp
    uint32_t stamps
    uint32_t first_sum
    uint32_t sums
    uint32_t reserved

cdef struct part_t:
    uint64_t count
    uint32_t first_axis
    uint32_t axes
    uint32_t first_template
    uint32_t templates

cdef enum:
    # Axes whose value the caller of `write` gives: what changes from frame to frame without repeating.
    AXIS_SEQUENCE = 0xFFFFFFFE
    AXIS_CLOCK = 0xFFFFFFFF
    MAX_AXES = 64  # of one packet
    # The trailer of a frame whose way is measured: this, the sequence number (4 bytes) and the TSC (8), big endian.
    TRAILER_MAGIC = 0x64706C61
    TRAILER = 16

# A stamp that changes with every frame.
cdef enum:
    FAST      # follows the fastest axis
    FREE      # follows a free axis
    SEQUENCE
    CLOCK

cdef struct quick_t:
    uint64_t base
    uint64_t step
    const uint64_t *table
    uint32_t axis
    uint16_t offset
    uint8_t width
    uint8_t shift
    uint8_t merge
    uint8_t kind

# A checksum that one of them reaches, with a coefficient for each.
cdef struct reached_t:
    const uint16_t *coefficients
    uint32_t sum
    uint16_t offset
    uint16_t zero_is_ffff


cdef class Stamper:
    cdef readonly object flows
    cdef readonly str form
    cdef readonly uint32_t longest
    cdef dict _arrays         # keeps the memory behind the pointers below

    cdef const part_t *parts
    cdef const axis_t *axes
    cdef const template_t *templates
    cdef const stamp_t *stamps
    cdef const sum_t *sums
    cdef const uint16_t *coefficients
    cdef const uint64_t *tables
    cdef const uint8_t *bytes
    cdef uint32_t n_parts

    cdef uint32_t part
    cdef uint64_t inside      # frames of this part already written
    cdef uint64_t digit[MAX_AXES]

    # form "table"
    cdef const uint8_t *frames
    cdef const uint16_t *lengths
    cdef uint64_t slot
    cdef uint64_t n_frames

    # form "odometer": one template, whose slow axes are stamped into `live` when they turn
    cdef uint8_t *live
    cdef uint64_t *partial    # per sum: what the slow stamps add up to
    cdef uint32_t fast_axis   # MAX_AXES: none
    cdef uint32_t *free       # the free axes
    cdef quick_t *quick       # stamps that change with every frame
    cdef reached_t *reached   # sums that do
    cdef uint16_t *coefficients_of_quick
    cdef uint32_t n_free
    cdef uint32_t n_quick
    cdef uint32_t n_reached
    cdef bint plain           # `_run_plain` will do

    # Makes each of n empty mbufs the next frame. `sequence` and `clock` go to the stamps that want them; the sequence
    # counts on from frame to frame.
    cdef void write(self, mbuf **pkts, uint16_t n, uint64_t sequence, uint64_t clock) noexcept nogil
    cdef void _odometer(self, mbuf **pkts, uint16_t n, uint64_t sequence, uint64_t clock) noexcept nogil
    cdef void _carry(self, uint32_t a) noexcept nogil
    cdef void _run_plain(self, mbuf **pkts, uint16_t n) noexcept nogil
    cdef void _run(self, mbuf **pkts, uint16_t n, uint64_t sequence, uint64_t clock) noexcept nogil
    cdef void _turn(self) noexcept nogil
    cdef void _walk(self, mbuf **pkts, uint16_t n, uint64_t sequence, uint64_t clock) noexcept nogil
    cdef void _next_digits(self, const part_t *part) noexcept nogil
    cdef uint64_t _value(self, const stamp_t *stamp, uint64_t sequence, uint64_t clock) noexcept nogil
