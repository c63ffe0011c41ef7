# SPDX-License-Identifier: BSD-3-Clause
"""The MAC's part in receiving a frame that is not usual. The usual frame is in mac.pxd."""

from dataplane.limits cimport FCS_BYTES, FRAME_MIN_WITH_FCS_BYTES
from dataplane.pmd.datasheet.word cimport *
from dataplane.pmd.model.classify.filter cimport PASS_INEXACT, PASS_NOT, longest
from dataplane.pmd.model.datapath.mac_stats cimport count
from dataplane.pmd.model.state.bytes cimport mdl_load16
from dataplane.pmd.model.state.fifo cimport COUNTED, REFUSED, RXE, mdl_peek_ahead

cdef enum:
    RX_MISS = 1 << 17  # EICR
    RAW_PAUSE = 0x0888  # EtherType 0x8808 as loaded
    OPCODE_PAUSE = 1
    OPCODE_PRIORITY_PAUSE = 0x0101


cdef bint _pause(mdl_port *p, mdl_frame *frame) noexcept nogil:
    """Count a flow control frame (8.2.3.22.34). True if the MAC consumes it."""
    cdef const uint8_t *data = frame.data
    cdef uint32_t opcode, priority
    if frame.len < 18 or mdl_load16(data + 12) != RAW_PAUSE:
        return False
    opcode = mdl_be16(data + 14)
    if opcode == OPCODE_PAUSE:
        _count16(p.regs, W_LXOFFRXCNT if mdl_load16(data + 16) else W_LXONRXCNT)
    elif opcode == OPCODE_PRIORITY_PAUSE and frame.len >= 34:
        for priority in range(8):
            if data[17] >> priority & 1:
                count(p.regs, (W_PXOFFRXCNT if mdl_load16(data + 18 + 2 * priority) else W_PXONRXCNT) + priority, 1)
    return not p.filter.pass_pause


cdef inline void _count16(uint32_t *regs, uint32_t word) noexcept nogil:
    if regs[word] < 0xFFFF:
        regs[word] += 1


cdef bint _bad(mdl_port *p, mdl_frame *frame, uint32_t size) noexcept nogil:
    """Count the error of a frame; size: bytes with FCS. True if it is a bad packet."""
    cdef uint32_t etype
    cdef const uint8_t *data = frame.data
    cdef bint crc = frame.flags & BAD_CRC
    if size < FRAME_MIN_WITH_FCS_BYTES:
        count(p.regs, W_RFC if crc else W_RUC, 1)
        return True
    if size > longest(&p.filter, data):
        count(p.regs, W_RJC if crc else W_ROC, 1)
        return True
    if crc:
        count(p.regs, W_CRCERRS, 1)
        return True
    if p.length_check:
        etype = mdl_be16(data + 12)
        # SILENT: RLEC counts a wrong length field, and the packet is received. Padding to the minimum is no error.
        if etype <= 1500 and etype != size - 18u and not (size == FRAME_MIN_WITH_FCS_BYTES and etype < 46):
            count(p.regs, W_RLEC, 1)
    return False


cdef bint mac_slowly(mdl_port *p, mdl_frame *frame, Tally *t) noexcept nogil:
    cdef uint32_t size = frame.len + FCS_BYTES, verdict
    cdef const uint8_t *data = frame.data
    if _bad(p, frame, size):
        t.bad += 1
        t.bad_bytes += size
        if not p.filter.store_bad or frame.len < 14 or frame.flags & LOST or not accept(&p.filter, data, frame.len):
            return False
        frame.flags |= RXE
        return p.filter.receive
    verdict = PASS_NOT
    if mdl_load64(data) & <uint64_t> 0xFFFFFFFFFFFF != PAUSE_ADDRESS or not _pause(p, frame):
        verdict = accept(&p.filter, data, frame.len)
    if not verdict:
        t.refused += 1
        t.refused_bytes += size
        return False
    if verdict == PASS_INEXACT:
        frame.flags |= INEXACT
    note_good(t, data, size)
    if frame.flags & LOST:
        count(p.regs, W_RXMPC, 1)
        p.other_causes |= RX_MISS
        return False
    return p.filter.receive


cdef void mac_alone(mdl_port *p, Tally *t) noexcept nogil:
    cdef mdl_frame *frame = mdl_peek_ahead(p.rx_fifo)
    while frame != NULL:
        if not mac(p, frame, t):
            frame.flags |= REFUSED
        frame.flags |= COUNTED
        frame = mdl_peek_ahead(p.rx_fifo)
