# SPDX-License-Identifier: BSD-3-Clause
"""Which packets get a time stamp, and of which instant (datasheet 7.9, 8.2.3.26).

A stamp is of the instant at which the wire takes the frame from the sender; at the receiver, of that plus what the wire
adds (its delay, its rate). When a thread of the host comes to move the frame is no part of it, as on a card, whose stamps
are taken beside the PHY. A frame whose wire does not say when it came (a tap, a capture) is stamped when it is seen.

One stamp a direction is held until its high word is read; what comes meanwhile gets none.
"""

from libc.stdint cimport uint8_t

from dataplane.clock cimport mono_ns
from dataplane.machine cimport likely
from dataplane.pmd.datasheet.word cimport *
from dataplane.pmd.model.classify.packet cimport HW_RXD_STAT_TS, PROTO_UDP
from dataplane.pmd.model.state.bytes cimport mdl_be16, mdl_load16, mdl_load32
from dataplane.pmd.model.state.fifo cimport LOCAL, STAMPED, STAMP_SOUGHT
from dataplane.pmd.model.state.port cimport mdl_violate
from dataplane.pmd.model.state.queue cimport QUEUES
from dataplane.pmd.model.state.stamps cimport mdl_count_stampers, mdl_settle_systim, mdl_systim
from dataplane.pmd.model.state.violation cimport V_STAMP_STOPPED

cdef enum:
    VALID = 1 << 0
    ENABLE = 1 << 4
    ETQF_1588 = 1 << 30
    # TSYNCRXCTL.TYPE
    L2_V2 = 0
    L4_V1 = 1
    V2 = 2
    EVERY = 4
    EVENTS = 5
    # of a message
    MESSAGE = 36  # bytes that it has at least
    SOURCE = 22
    SEQUENCE = 30
    CONTROL = 32
    PEER_DELAY_REQUEST = 2
    PEER_DELAY_RESPONSE = 3
    UDP_HEADER = 8


cdef uint64_t time_of(const mdl_stamps *s) noexcept nogil:
    return mono_ns() if s.virtual_ns == NULL else s.virtual_ns[0]


cdef void decode_stamps(mdl_port *p, uint32_t slow) noexcept nogil:
    cdef mdl_stamps *s = &p.stamps
    cdef uint32_t timinca = p.regs[W_TIMINCA], control = p.regs[W_TSYNCRXCTL], filters = p.regs[W_RXMTRL]
    cdef bint on = control & ENABLE != 0
    if timinca >> 24 != s.incperiod or timinca & 0xFFFFFF != s.incvalue or slow != s.slow:
        mdl_settle_systim(s, time_of(s))
        if timinca >> 24 != s.incperiod or slow != s.slow:
            s.rest = 0  # it was counted in periods of another length
        s.incperiod, s.incvalue, s.slow = timinca >> 24, timinca & 0xFFFFFF, slow
        s.told = 0
    s.tx_on = p.regs[W_TSYNCTXCTL] & ENABLE != 0
    s.rx_type = control >> 1 & 7
    s.control, s.message, s.udp_port = filters & 0xFF, filters >> 8 & 0xFF, filters >> 16
    if on != s.rx_on:
        s.rx_on, s.since = on, time_of(s)
        mdl_count_stampers(&stampers, 1 if on else -1)


cdef void reset_stamps(mdl_port *p) noexcept nogil:
    cdef mdl_stamps *s = &p.stamps
    s.at_ns = time_of(s)
    s.value = s.rest = 0
    s.incvalue = s.incperiod = s.latched = s.told = 0


cdef inline uint64_t _taken(mdl_port *p, uint64_t ns) noexcept nogil:
    """SYSTIM at that time, for a stamp."""
    if not (p.stamps.incperiod and p.stamps.incvalue) and not p.stamps.told:
        p.stamps.told = 1
        mdl_violate(p, V_STAMP_STOPPED, QUEUES - 1, 0, p.regs[W_TIMINCA])  # which is never a VF's
    return mdl_systim(&p.stamps, ns)


cdef void stamp_departure(mdl_port *p, mdl_frame *frame) noexcept nogil:
    cdef uint64_t value
    if not p.stamps.tx_on:
        return
    p.now_ns = time_of(&p.stamps)
    if frame != NULL:
        frame.ready = p.now_ns
    if p.regs[W_TSYNCTXCTL] & VALID:
        return
    value = _taken(p, p.now_ns)
    p.regs[W_TXSTMPL], p.regs[W_TXSTMPH] = <uint32_t> value, <uint32_t> (value >> 32)
    p.regs[W_TSYNCTXCTL] |= VALID


cdef bint _is_ethernet(mdl_port *p, const Parsed *parsed) noexcept nogil:
    """Whether an EtherType filter with its 1588 bit set takes the frame (8.2.3.7.21)."""
    cdef uint32_t index, wanted
    if not p.steer.any_etqf:
        return False
    for index in range(8):
        wanted = p.steer.etqf[index]
        if wanted >> 31 and wanted & ETQF_1588 and wanted & 0xFFFF == parsed.etype:
            return True
    return False


cdef uint32_t _message(mdl_port *p, mdl_frame *frame, const Parsed *parsed) noexcept nogil:
    """Where the PTP message that is to be stamped begins; 0: it is none.

    SILENT: the version must be that of TYPE, of UDP both IPv4 and IPv6 are looked at, and a fragment is no message.
    """
    cdef mdl_stamps *s = &p.stamps
    cdef const uint8_t *m
    cdef uint32_t at = parsed.l3, kind
    if parsed.l4 and parsed.protocol == PROTO_UDP and mdl_be16(frame.data + parsed.l4 + 2) == s.udp_port:
        if s.rx_type == L2_V2:
            return 0
        at = parsed.l4 + UDP_HEADER
    elif s.rx_type == L4_V1 or not _is_ethernet(p, parsed):
        return 0
    if at + MESSAGE > frame.len:
        return 0
    m = frame.data + at
    if s.rx_type == L4_V1:
        return at if mdl_be16(m) == 1 and m[CONTROL] == s.control else 0
    if m[1] & 0xF != 2:
        return 0
    kind = m[0] & 0xF
    if s.rx_type == EVENTS:
        return at if kind < 8 else 0
    if s.rx_type != L2_V2 and s.rx_type != V2:
        return 0  # a reserved type
    return at if kind == s.message or kind == PEER_DELAY_REQUEST or kind == PEER_DELAY_RESPONSE else 0


cdef void stamp_arrival(mdl_port *p, mdl_frame *frame, Parsed *parsed) noexcept nogil:
    cdef mdl_stamps *s = &p.stamps
    cdef uint64_t ns, value
    cdef uint32_t at
    if frame.flags & (LOCAL | STAMP_SOUGHT):  # from a pool of this port; or it has waited for descriptors
        if frame.flags & STAMPED:
            parsed.status |= HW_RXD_STAT_TS
        return
    frame.flags |= STAMP_SOUGHT
    at = 0 if s.rx_type == EVERY else _message(p, frame, parsed)
    if s.rx_type != EVERY and (not at or p.regs[W_TSYNCRXCTL] & VALID):
        return
    ns = time_of(s)
    if s.since <= frame.ready and frame.ready <= ns:  # otherwise it left before the time was looked at
        ns = frame.ready
    value = _taken(p, ns)
    p.regs[W_RXSTMPL], p.regs[W_RXSTMPH] = <uint32_t> value, <uint32_t> (value >> 32)
    p.regs[W_TSYNCRXCTL] |= VALID
    if likely(at):
        frame.flags |= STAMPED
        parsed.status |= HW_RXD_STAT_TS
        p.regs[W_RXSATRL] = mdl_load32(frame.data + at + SOURCE)
        p.regs[W_RXSATRH] = (
            mdl_load16(frame.data + at + SOURCE + 4) | <uint32_t> mdl_load16(frame.data + at + SEQUENCE) << 16
        )
