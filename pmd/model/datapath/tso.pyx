# SPDX-License-Identifier: BSD-3-Clause
"""TCP and UDP segmentation (datasheet 7.2.4).

Each segment gets the headers of the packet, with its own lengths, IP identification, sequence number, TCP flags (as
DTXTCPFLG masks them) and checksums. Software seeds the L4 checksum with a pseudo-header sum without the length.
SILENT: a packet that fits one segment has the flags of a last one.
"""

from libc.stdint cimport uint16_t
from libc.string cimport memcpy, memset

from dataplane.limits cimport FCS_BYTES, FRAME_MIN_WITHOUT_FCS_BYTES, VLAN_TAG_BYTES
from dataplane.pmd.datasheet.limits cimport FRAME_MAX_WITHOUT_FCS_BYTES
from dataplane.pmd.datasheet.word cimport *
from dataplane.pmd.model.datapath.mac_stats cimport note_good
from dataplane.pmd.model.datapath.offload cimport insert_ip_checksum, tag_frame
from dataplane.pmd.model.state.bytes cimport (
    mdl_be16,
    mdl_be32,
    mdl_store16,
    mdl_store32,
    mdl_swap16,
    mdl_swap32,
)
from dataplane.pmd.model.state.checksum cimport mdl_fold, mdl_sum
from dataplane.pmd.model.state.fifo cimport (
    IP_MADE,
    L4_MADE,
    mdl_commit,
    mdl_frame,
    mdl_label,
    mdl_lose,
    mdl_reserve,
)
from dataplane.pmd.model.state.port cimport mdl_violate
from dataplane.pmd.model.state.queue cimport mdl_context
from dataplane.pmd.model.state.violation cimport V_TX_OVER_MAXFRS

cdef extern from "hw82599.h" nogil:
    const uint32_t HW_TXD_CMD_VLE
    const uint32_t HW_TXD_POPTS_IXSM
    const uint32_t HW_TXD_POPTS_TXSM
    const uint32_t HW_TXD_PAYLEN_SHIFT

cdef enum:
    L4_UDP = 0
    L4_TCP = 1


cdef uint32_t headers_of(const mdl_context *c) noexcept nogil:
    return c.mac_len + <uint32_t> c.ip_len + c.l4_len


cdef bint segmentable(const mdl_context *c, uint32_t n, uint32_t upper) noexcept nogil:
    cdef uint32_t size = headers_of(c)
    return (
        c.mss != 0
        and c.mac_len >= 14
        and c.ip_len >= (20 if c.ipv4 else 40)
        and c.l4_type <= L4_TCP
        and c.l4_len >= (20 if c.l4_type == L4_TCP else 8)
        and n > size
        and n - size == upper >> HW_TXD_PAYLEN_SHIFT
        and size + c.mss <= FRAME_MAX_WITHOUT_FCS_BYTES
    )


cdef void _tcp(mdl_port *p, uint8_t *header, uint32_t number, uint32_t offset, bint last) noexcept nogil:
    """Sequence number and flags of segment `number`, which starts `offset` bytes into the payload."""
    cdef uint32_t mask = p.regs[W_DTXTCPFLGL], word = mdl_be16(header + 12)
    mask = p.regs[W_DTXTCPFLGH] if last else mask if number == 0 else mask >> 16
    mdl_store32(header + 4, mdl_swap32(mdl_be32(header + 4) + offset))
    mdl_store16(header + 12, mdl_swap16(word & (0xF000 | mask & 0xFFF)))


cdef void _fix(
    mdl_port *p, const mdl_context *c, uint8_t *data, uint32_t upper, uint32_t number, uint32_t piece, bint last
) noexcept nogil:
    """The headers at `data`, for `piece` bytes of payload behind them."""
    cdef uint8_t *ip = data + c.mac_len
    cdef uint8_t *l4 = ip + c.ip_len
    cdef uint32_t size = c.l4_len + piece, checksum_at = 16 if c.l4_type == L4_TCP else 6
    cdef uint16_t sum
    if c.ipv4:
        mdl_store16(ip + 2, mdl_swap16(c.ip_len + size))
        mdl_store16(ip + 4, mdl_swap16(mdl_be16(ip + 4) + number))
        if upper & HW_TXD_POPTS_IXSM:
            insert_ip_checksum(data, c.mac_len + c.ip_len, c)
    else:
        mdl_store16(ip + 4, mdl_swap16(c.ip_len - 40 + size))
    if c.l4_type == L4_TCP:
        _tcp(p, l4, number, number * c.mss, last)
    else:
        mdl_store16(l4 + 4, mdl_swap16(size))
    if upper & HW_TXD_POPTS_TXSM:
        sum = <uint16_t> ~mdl_fold(mdl_sum(l4, size) + mdl_swap16(size))
        if sum == 0 and c.l4_type == L4_UDP:
            sum = 0xFFFF
        mdl_store16(l4 + checksum_at, sum)


cdef bint segment(
    mdl_port *p, mdl_txq *q, uint32_t index, uint8_t *packet, uint32_t n, uint32_t end, uint32_t lower, uint32_t upper,
    mdl_fifo *out, Tally *tally,
) noexcept nogil:
    cdef const mdl_context *c = &q.context[upper >> 4 & 1]
    cdef uint32_t headers = headers_of(c), done, piece, size, flags = 0
    cdef mdl_frame *frame
    if headers + c.mss + FCS_BYTES > p.tx_max:
        mdl_violate(p, V_TX_OVER_MAXFRS, index, q.head, headers + c.mss + FCS_BYTES)
    if p.pooled:
        flags = (IP_MADE if upper & HW_TXD_POPTS_IXSM else 0) | (L4_MADE if upper & HW_TXD_POPTS_TXSM else 0)
    done = headers + q.segments_sent * c.mss
    while done < end:
        piece = min(c.mss, n - done)
        size = headers + piece
        frame = mdl_reserve(out, max(size, <uint32_t> FRAME_MIN_WITHOUT_FCS_BYTES) + VLAN_TAG_BYTES)
        if frame == NULL:
            if p.waits:
                return False
            mdl_lose(out, packet, headers, 0)
            note_good(tally, packet, size + FCS_BYTES)
        else:
            memcpy(frame.data, packet, headers)
            memcpy(frame.data + headers, packet + done, piece)
            _fix(p, c, frame.data, upper, q.segments_sent, piece, done + piece == n)
            if not tag_frame(p, q, lower & HW_TXD_CMD_VLE != 0, c.vlan, frame.data, &size):
                q.segments_sent = n  # none of it may leave: it is done with
                return True
            if size < FRAME_MIN_WITHOUT_FCS_BYTES:
                memset(frame.data + size, 0, FRAME_MIN_WITHOUT_FCS_BYTES - size)
                size = FRAME_MIN_WITHOUT_FCS_BYTES
            mdl_label(frame, size, flags, q.sender, p.now_ns)
            note_good(tally, frame.data, size + FCS_BYTES)
            mdl_commit(out, size)
        q.segments_sent += 1
        done += piece
    return True
