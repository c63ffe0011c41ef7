# SPDX-License-Identifier: BSD-3-Clause
"""The frames in flight on one direction of a wire."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from dataplane.pmd.model.state.fifo cimport mdl_fifo, mdl_frame

cdef uint64_t NEVER  # ns


# A frame on its way; its bytes follow.
cdef struct Flying:
    uint64_t due  # ns: when it lands
    uint64_t order  # twice its number, and one more for the copy of a duplicated frame
    uint32_t len
    uint32_t flags


cdef class Flight:
    cdef readonly object netem
    cdef readonly uint64_t sent, delivered, lost, overflowed, corrupted, duplicated, reordered, late
    cdef mdl_fifo *entry  # what the sender has put on the wire; ours
    cdef readonly uint64_t next_due  # ns: when `carry` has something to do again, as far as it knew
    cdef Flying **_heap  # what lands first is at its top
    cdef uint32_t _count, _room, _limit
    cdef uint64_t _size  # bytes of all of them
    cdef uint64_t _key, _latest, _free_at, _delay, _jitter
    cdef uint64_t _loss, _corrupt, _duplicate, _reorder  # what a draw must be below
    cdef double _ns_per_byte, _rest  # ns by which the line is busy after _free_at
    cdef bint _normal

    # Take what has been sent by `now`, and put what has landed into `sink`, which the caller alone fills. While the sink is full
    # frames wait (elastic) or are lost there. Returns how many frames it moved. Called by one thread at a time.
    cdef uint32_t carry(self, mdl_fifo *sink, uint64_t now, bint elastic) noexcept nogil

    cdef uint64_t _draw(self, uint64_t order, uint32_t what) noexcept nogil
    cdef uint64_t _start(self, const mdl_frame *frame) noexcept nogil
    cdef bint _take(self, const mdl_frame *frame, uint64_t at) noexcept nogil
    cdef void _launch(self, const mdl_frame *frame, uint64_t order, uint64_t at) noexcept nogil
    cdef void _spoil(self, Flying *flying) noexcept nogil
    cdef uint64_t _delay_of(self, uint64_t order) noexcept nogil
    cdef bint _land(self, mdl_fifo *sink, bint elastic) noexcept nogil
    cdef bint _push(self, Flying *flying) noexcept nogil
    cdef void _pop(self) noexcept nogil
