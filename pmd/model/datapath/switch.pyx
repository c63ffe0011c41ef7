# SPDX-License-Identifier: BSD-3-Clause
"""The switch inside a port (datasheet 7.10.3.4): what a pool sends goes to other pools, to the wire, to both, or nowhere.

Frames wait for it in the Tx buffer, whole and with their tags, so it decides by what would be seen on the wire.
The first one that has to wait holds up the others, as on the chip. SILENT about the room: what goes back to the pools has a
buffer of its own beside that for frames from the wire, so each can only hold up its own kind.
"""

from libc.stdint cimport uint32_t, uint64_t

from dataplane.limits cimport ETHERNET_HEADER_BYTES, FCS_BYTES
from dataplane.machine cimport unlikely
from dataplane.pmd.datasheet.word cimport *
from dataplane.pmd.model.classify.filter cimport longest
from dataplane.pmd.model.classify.pools cimport honest, pools_of_departure
from dataplane.pmd.model.datapath.mac_stats cimport count, note_good
from dataplane.pmd.model.datapath.stamps cimport stamp_departure
from dataplane.pmd.model.state.bytes cimport mdl_copy
from dataplane.pmd.model.state.fifo cimport (
    BAD_CRC,
    IP_MADE,
    L4_MADE,
    LOCAL,
    MARKED,
    mdl_commit,
    mdl_fifo_refresh,
    mdl_frame,
    mdl_label,
    mdl_lose,
    mdl_peek,
    mdl_pop,
    mdl_reserve,
)


cdef inline void _count_sent(uint32_t *regs, uint32_t pool, uint32_t n) noexcept nogil:
    """9.4: a VF's counters wrap. SILENT: bytes without FCS, of what it sent and the checks let through."""
    cdef uint32_t *low = regs + W_PVFGOTC_LSB + 2 * pool
    cdef uint64_t sum = <uint64_t> low[0] + n
    regs[W_PVFGPTC + pool] += 1
    low[0] = <uint32_t> sum
    low[1] = (low[1] + (sum >> 32)) & 0xF


cdef inline void _fill(mdl_fifo *to, mdl_frame *copy, const mdl_frame *frame, uint32_t flags, uint64_t word) noexcept nogil:
    mdl_copy(copy.data, frame.data, frame.len)
    mdl_label(copy, frame.len, flags, 0, word)
    mdl_commit(to, frame.len)


cdef bint switch_out(mdl_port *p, mdl_fifo *wire, Tally *sent) noexcept nogil:
    cdef mdl_frame *frame = mdl_peek(p.tx_buffer)
    cdef mdl_frame *back
    cdef mdl_frame *out
    cdef uint64_t pools
    cdef bint leaves
    if frame == NULL:
        return True
    mdl_fifo_refresh(p.switched)
    while frame != NULL:
        # SILENT about less than a header, which only comes without padding: it is dropped.
        if unlikely(frame.len < ETHERNET_HEADER_BYTES or not honest(p, frame.data, frame.len, frame.tag)):
            if p.vt.count_spoofed >> frame.tag & 1:
                count(p.regs, W_SSVPC, 1)
            mdl_pop(p.tx_buffer, frame)
            frame = mdl_peek(p.tx_buffer)
            continue
        pools = pools_of_departure(p, frame.data, frame.len, frame.tag, &leaves)
        back = out = NULL
        # SILENT about frames over MAXFRS: as the MAC lets none in, no pool gets one from another.
        if pools and frame.len + FCS_BYTES <= longest(&p.filter, frame.data):
            back = mdl_reserve(p.switched, frame.len)
            if back == NULL:
                return False
        if leaves:
            out = mdl_reserve(wire, frame.len)
            if out == NULL:
                if p.elastic:
                    return False
                mdl_lose(wire, frame.data, frame.len, frame.flags & BAD_CRC)
            else:
                _fill(wire, out, frame, frame.flags & BAD_CRC, p.now_ns)
            if unlikely(frame.flags & MARKED):
                stamp_departure(p, out)
            note_good(sent, frame.data, frame.len + FCS_BYTES)
        if back != NULL:
            _fill(p.switched, back, frame, LOCAL | frame.flags & (IP_MADE | L4_MADE), pools)
        _count_sent(p.regs, frame.tag, frame.len)
        mdl_pop(p.tx_buffer, frame)
        frame = mdl_peek(p.tx_buffer)
    return True
