# SPDX-License-Identifier: BSD-3-Clause
"""The MAC's part in receiving a frame: counters, errors, flow control, address filters (datasheet 7.1.1, 8.2.3.23)."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from dataplane.limits cimport FCS_BYTES, FRAME_MIN_WITH_FCS_BYTES
from dataplane.machine cimport unlikely
from dataplane.pmd.model.classify.filter cimport PASS_EXACT, accept
from dataplane.pmd.model.datapath.mac_stats cimport Tally, note_good
from dataplane.pmd.model.state.bytes cimport mdl_be16, mdl_load64
from dataplane.pmd.model.state.fifo cimport BAD_CRC, INEXACT, LOST, mdl_frame
from dataplane.pmd.model.state.filter cimport PAUSE_ADDRESS
from dataplane.pmd.model.state.port cimport mdl_port


# Like `mac`, for frames that may be bad, lost, or flow control.
cdef bint mac_slowly(mdl_port *p, mdl_frame *frame, Tally *t) noexcept nogil

# While the queues are blocked: count and filter the frames that arrived behind the blocked one.
cdef void mac_alone(mdl_port *p, Tally *t) noexcept nogil


cdef inline bint mac(mdl_port *p, mdl_frame *frame, Tally *t) noexcept nogil:
    """Whether the frame goes to a queue. Sets flags that later stages need."""
    cdef uint32_t size = frame.len + FCS_BYTES, verdict
    cdef const uint8_t *data = frame.data
    if unlikely(
        size < FRAME_MIN_WITH_FCS_BYTES
        or size > p.filter.max_bytes
        or frame.flags & (BAD_CRC | LOST)
        or mdl_be16(data + 12) <= 1500
        or mdl_load64(data) & <uint64_t> 0xFFFFFFFFFFFF == PAUSE_ADDRESS
    ):
        return mac_slowly(p, frame, t)
    verdict = accept(&p.filter, data, frame.len)
    if unlikely(verdict != PASS_EXACT):
        if not verdict:
            t.refused += 1
            t.refused_bytes += size
            return False
        frame.flags |= INEXACT
    note_good(t, data, size)
    return p.filter.receive
