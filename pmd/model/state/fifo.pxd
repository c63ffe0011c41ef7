# SPDX-License-Identifier: BSD-3-Clause
"""How Cython sees fifo.h: frames between wire and descriptors."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t


cdef extern from "state/fifo.h" nogil:
    enum:
        BAD_CRC "MDL_BAD_CRC"
        LOST "MDL_LOST"
        COUNTED "MDL_COUNTED"
        REFUSED "MDL_REFUSED"
        INEXACT "MDL_INEXACT"
        RXE "MDL_RXE"
        LOCAL "MDL_LOCAL"
        IP_MADE "MDL_IP_MADE"
        L4_MADE "MDL_L4_MADE"
        DIRECTED_ONCE "MDL_DIRECTED_ONCE"
        STAMP_SOUGHT "MDL_STAMP_SOUGHT"
        STAMPED "MDL_STAMPED"
        MARKED "MDL_MARKED"
        STUB "MDL_STUB"
        STUBS "MDL_STUBS"

    struct mdl_frame:
        uint16_t len
        uint16_t flags
        uint32_t tag
        uint64_t ready
        uint64_t pools
        uint8_t *data

    struct mdl_fifo:
        uint8_t *base
        uint32_t size, limit
        uint64_t in_ "in"
        uint64_t out
        uint64_t seen_in, seen_out
        uint32_t wpos, rpos
        uint32_t lost_unseen

    void mdl_label_whole(mdl_frame *f, uint64_t first, uint64_t last)
    void mdl_label(mdl_frame *f, uint32_t len, uint32_t flags, uint32_t tag, uint64_t last)
    void mdl_fifo_refresh(mdl_fifo *f)
    mdl_frame *mdl_reserve(mdl_fifo *f, uint32_t len)
    mdl_frame *mdl_reserve_within(mdl_fifo *f, uint32_t len, uint32_t limit)
    void mdl_commit(mdl_fifo *f, uint32_t len)
    mdl_frame *mdl_peek(mdl_fifo *f)
    void mdl_pop(mdl_fifo *f, mdl_frame *frame)
    void mdl_lose(mdl_fifo *f, const uint8_t *data, uint32_t len, uint32_t flags)
    uint32_t mdl_take_lost(mdl_fifo *f)
    mdl_frame *mdl_peek_ahead(mdl_fifo *f)
    mdl_fifo *mdl_fifo_new(uint32_t limit)
    void mdl_fifo_free(mdl_fifo *f)
    void mdl_fifo_clear(mdl_fifo *f)
