# SPDX-License-Identifier: BSD-3-Clause
"""Receive side coalescing (datasheet 7.11).

The first packet of a connection is stored as any other and stays open. The payload of those that follow it in sequence is
stored behind its own, in as many buffers as RSCCTL.MAXDESC allows. A buffer's descriptor is written back when the next one
is taken, which NEXTP names: other packets may have taken the descriptors between. When the packet is complete its header is
updated in memory, then its last descriptor is written back, with EOP.

SILENT about, and chosen here:
- IPv6 is not merged (Intel's drivers name "the same IPv4 TCP/IP flow"), nor is a frame with an outer tag.
- A packet of the connection that cannot be merged completes what is open, so that the order of its bytes stays.
- A packet that stays alone in one descriptor is not marked as merged (RSCCNT 0); its padding is not stored.
- ACK number, window, PSH and time stamp are the last packet's, everything else is the first's. IPv4's length and checksum are
  computed again; TCP's checksum stays the first's, and L4CS and L4E say what the chip found.
- The interval begins with the first packet that waits for it. Without a timer (no vector in IVAR, or EITR's interval 0) a
  packet is complete at the end of the step, so that none waits for ever.
SKIPPED: GPIE.RSC_DELAY, which gives the write-back time before the interrupt: here it takes none. NFS: no packet is known as
NFS, so RFCTL's bits about it have no effect.
"""

from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy

from dataplane.machine cimport store_release, unlikely
from dataplane.pmd.datasheet.word cimport *
from dataplane.pmd.model.classify.packet cimport *
from dataplane.pmd.model.datapath.iommu cimport dma_write
from dataplane.pmd.model.datapath.mac_stats cimport count, count36
from dataplane.pmd.model.datapath.rx_ring cimport (
    ALL_QUEUES,
    APART,
    DROPPED,
    TAKEN,
    available,
    fetch,
    store,
    write_back,
)
from dataplane.pmd.model.state.bytes cimport mdl_be32, mdl_load32, mdl_store16, mdl_swap16
from dataplane.pmd.model.state.checksum cimport mdl_fold, mdl_sum
from dataplane.pmd.model.state.domain cimport RX_DATA
from dataplane.pmd.model.state.port cimport mdl_violate
from dataplane.pmd.model.state.queue cimport mdl_rxq
from dataplane.pmd.model.state.rsc cimport RSC_CONTEXTS, RSC_HEADER, mdl_rsc
from dataplane.pmd.model.state.violation cimport V_RX_RSC_TIMER

cdef extern from "hw82599.h" nogil:
    enum:
        HW_RXD_RSCCNT_SHIFT
        HW_RXD_NEXTP_SHIFT

cdef enum:
    TAG = 4  # bytes
    # RFCTL, VT_CTL, HLREG0, PSRTYPE, RDRXCTL, RSCDBU
    RSC_DIS = 1 << 5
    VT_ENA = 1 << 0
    CRC_STRIP = 1 << 1
    SPLIT_TCP = 1 << 4
    ACK_CHANGE = 1 << 25  # RSCACKC
    FIRST_SIZE_SHIFT = 17  # RSCFRSTSIZE, in 128 bytes
    FIRST_SIZE_MASK = 0x1F
    NO_ACKS = 1 << 7  # RSCACKDIS
    # IVAR, EITR
    VALID = 1 << 7
    INTERVAL = 0xFF8
    INTERVAL_NS = 2048 // 8
    EITR_SPLIT = 24
    NO_VECTOR = 0xFFFF
    # TCP
    PSH = 0x08
    ACK = 0x10
    PLAIN = 20
    STAMPED = 32
    RAW_STAMP = 0x0A080101  # NOP, NOP, time stamp, 10 bytes: as loaded
    # Packets that may start in one descriptor (7.1.6.2): RSCCNT has four bits, and this number plus 1 is written into it.
    STARTS_MAX = 14
    IP_MAX = 65535


# The fields of a TCP packet over IPv4 that merging needs.
cdef struct Segment:
    const uint8_t *tcp
    uint32_t header  # bytes of TCP's header
    uint32_t n  # bytes of payload
    uint32_t sequence
    uint8_t flags, tos, stamped
    uint8_t fit  # to be merged (7.11.1)


cdef void _look(mdl_port *p, mdl_rxq *q, const uint8_t *data, const Parsed *parsed, Segment *s) noexcept nogil:
    """7.11.1: which packets may be merged."""
    cdef uint32_t good = HW_RXD_STAT_IPCS | HW_RXD_STAT_L4CS
    cdef uint32_t bad = HW_RXD_STAT_VEXT | HW_RXD_ERR_IPE | HW_RXD_ERR_L4E | HW_RXD_ERR_RXE
    s.tcp = data + parsed.l4
    s.header = (s.tcp[12] >> 4) * 4
    s.sequence = mdl_be32(s.tcp + 4)
    s.flags, s.tos = s.tcp[13], data[parsed.l3 + 1]
    s.stamped = s.header == STAMPED
    s.fit = (
        parsed.l4 == parsed.l3 + 20  # no options
        and parsed.status & (good | bad) == good
        and not s.tcp[12] & 0xF
        and not s.flags & ~<uint32_t> (PSH | ACK)
        and parsed.l4 + s.header <= parsed.end
        and (s.header == PLAIN or (s.stamped and q.rsc_stamps and mdl_load32(s.tcp + 20) == RAW_STAMP))
    )
    s.n = parsed.end - parsed.l4 - s.header if s.fit else 0
    if s.n == 0 and p.regs[W_RSCDBU] & NO_ACKS:
        s.fit = 0


# ---- descriptors -------------------------------------------------------------------------------------------------


cdef bint _take(mdl_port *p, Visit *v, mdl_rsc *c) noexcept nogil:
    """Go on in the buffer of the next descriptor, which there is. False: it cannot be read, and the queue stalls."""
    cdef mdl_rxq *q = v.queue
    cdef uint64_t[2] words
    if not fetch(p, q, v.index, q.head, words):
        return False
    c.at, c.buffer = q.head, words[0]
    c.filled = c.started = 0
    c.descriptors += 1
    q.head = q.head + 1 if q.head + 1 < q.n else 0
    v.available -= 1
    return True


cdef inline uint64_t _low(const mdl_rsc *c, uint32_t rsccnt) noexcept nogil:
    return c.info | rsccnt << HW_RXD_RSCCNT_SHIFT | <uint64_t> c.hash << 32


cdef bint _roll(mdl_port *p, Visit *v, mdl_rsc *c) noexcept nogil:
    """The buffer is full: write its descriptor back, and take the next one."""
    cdef uint32_t full = c.at, started = c.started
    cdef uint64_t high = HW_RXD_STAT_DD | <uint64_t> c.filled << 32 | <uint64_t> c.tci << 48
    if not _take(p, v, c):
        return False
    high |= <uint64_t> c.at << HW_RXD_NEXTP_SHIFT
    write_back(p, v.queue, v.index, full, _low(c, 1 + started), high)
    return True


cdef bint _pour(mdl_port *p, Visit *v, mdl_rsc *c, const uint8_t *data, uint32_t n) noexcept nogil:
    """Store n bytes behind what there is. False: a descriptor could not be read."""
    cdef mdl_rxq *q = v.queue
    cdef uint32_t piece
    while n:
        if c.filled >= q.buffer and not _roll(p, v, c):
            return False
        piece = min(n, q.buffer - c.filled)
        store(q, c.buffer + c.filled, data, piece, v.index)
        c.filled += piece
        c.bytes += piece
        data += piece
        n -= piece
    return True


cdef void _complete(mdl_port *p, mdl_rsc *c) noexcept nogil:
    """7.11.5: the header as the large packet needs it, then EOP."""
    cdef mdl_rxq *q = &p.rxq[c.queue]
    cdef uint8_t *ip = c.header + c.l3
    cdef uint32_t rsccnt = 0
    cdef uint64_t high = c.status | HW_RXD_STAT_DD | HW_RXD_STAT_EOP
    if c.packets > 1:
        mdl_store16(ip + 2, mdl_swap16(c.bytes - c.l3))
        mdl_store16(ip + 10, 0)
        mdl_store16(ip + 10, ~mdl_fold(mdl_sum(ip, 20)))
        dma_write(q.domain, c.first + c.l3, ip, c.header_size - c.l3, RX_DATA, c.queue)
    if c.packets > 1 or c.descriptors > 1:
        rsccnt = 1 + c.started
    write_back(p, q, c.queue, c.at, _low(c, rsccnt), high | <uint64_t> c.filled << 32 | <uint64_t> c.tci << 48)
    _drop(p, c)
    p.rx_causes[c.queue >> 6] |= <uint64_t> 1 << (c.queue & 63)


cdef inline void _drop(mdl_port *p, mdl_rsc *c) noexcept nogil:
    c.open = 0
    p.rsc_open -= 1


cdef int _stalled(mdl_port *p, mdl_rsc *c) noexcept nogil:
    """Stall the queue until it is enabled again; its open packets are discarded then."""
    _drop(p, c)
    return DROPPED


# ---- packets -----------------------------------------------------------------------------------------------------


cdef mdl_rsc *_find(mdl_port *p, uint32_t index, const uint8_t *ip, const Parsed *parsed) noexcept nogil:
    """7.11.2: what is open of the packet's connection, in its VLAN and for this queue."""
    cdef uint32_t i, src = mdl_load32(ip + 12), dst = mdl_load32(ip + 16), ports = mdl_load32(ip + parsed.l4 - parsed.l3)
    cdef bint tagged = parsed.status & HW_RXD_STAT_VP != 0
    cdef mdl_rsc *c
    for i in range(RSC_CONTEXTS):
        c = &p.rsc[i]
        if (
            c.open and c.ports == ports and c.src == src and c.dst == dst and c.queue == index
            and c.tagged == tagged and c.tci == parsed.tci
        ):
            return c
    return NULL


cdef void _count(mdl_port *p, Visit *v, uint32_t n) noexcept nogil:
    """As for other packets, but that nothing may have been written back: then there is nothing to interrupt for."""
    cdef mdl_rxq *q = v.queue
    store_release(q.head_reg, q.head)
    count(p.regs, W_QPRC + q.set * 16, 1)
    count36(p.regs, W_QBRC + q.set * 16, n)
    if p.stats_queue == ALL_QUEUES or p.stats_queue == v.index:
        v.done_packets += 1
        v.done_bytes += n


cdef bint _has(mdl_port *p, Visit *v, uint32_t needed) noexcept nogil:
    if v.available < needed:
        v.available = available(p, v.queue, v.index)
    return v.available >= needed


cdef bint _follows(mdl_port *p, Visit *v, const mdl_rsc *c, const Segment *s) noexcept nogil:
    """7.11.4: whether the packet goes on where the open one ends, and there is room for it."""
    cdef mdl_rxq *q = v.queue
    cdef uint32_t room = q.buffer - c.filled if q.buffer > c.filled else 0
    cdef uint32_t needed = (s.n - room + q.buffer - 1) // q.buffer if s.n > room else 0
    if s.sequence != c.next or s.tos != c.tos or s.stamped != c.stamped:
        return False
    if (c.header[c.l4 + 13] ^ s.flags) & ACK and p.regs[W_RDRXCTL] & ACK_CHANGE:
        return False
    if c.descriptors + needed > q.rsc_most or c.bytes - c.l3 + s.n > IP_MAX:
        return False
    return _has(p, v, needed)


cdef void _note(mdl_rsc *c, const Segment *s, const Parsed *parsed, uint32_t info, uint32_t hash) noexcept nogil:
    """Take the fields that the last packet decides."""
    c.info, c.hash, c.status = info, hash, parsed.status
    c.next = s.sequence + s.n
    c.packets += 1
    c.started += 1


cdef int _append(
    mdl_port *p, Visit *v, mdl_rsc *c, const Segment *s, const Parsed *parsed, uint32_t info, uint32_t hash
) noexcept nogil:
    cdef uint8_t *tcp = c.header + c.l4
    if s.n and c.filled >= v.queue.buffer and not _roll(p, v, c):
        return _stalled(p, c)
    _note(c, s, parsed, info, hash)
    memcpy(tcp + 8, s.tcp + 8, 8)  # ACK number, flags, window
    if c.stamped:
        memcpy(tcp + PLAIN, s.tcp + PLAIN, STAMPED - PLAIN)
    if not _pour(p, v, c, s.tcp + s.header, s.n):
        return _stalled(p, c)
    return TAKEN


cdef void _set_timer(mdl_port *p, mdl_rxq *q, uint32_t index, mdl_rsc *c) noexcept nogil:
    """All packets of a vector's queues are complete when its interval is over (7.3.2.1)."""
    cdef uint32_t ivar = p.regs[W_IVAR + (index >> 1)] >> ((index & 1) << 4), vector = ivar & 0x3F, i
    cdef uint32_t eitr = p.regs[W_EITR + vector if vector < EITR_SPLIT else W_EITR_HIGH + vector - EITR_SPLIT]
    c.due, c.vector = p.now_ns, NO_VECTOR
    if unlikely(not ivar & VALID or not eitr & INTERVAL):
        if not q.rsc_warned:
            q.rsc_warned = 1
            mdl_violate(p, V_RX_RSC_TIMER, index, 0, eitr if ivar & VALID else 0)
        return
    for i in range(RSC_CONTEXTS):
        if p.rsc[i].open and p.rsc[i].vector == vector:
            c.due = p.rsc[i].due
            break
    else:
        c.due += (eitr & INTERVAL) * INTERVAL_NS
    c.vector = vector


cdef int _begin(
    mdl_port *p, Visit *v, const uint8_t *data, const Segment *s, const Parsed *parsed, uint32_t info, uint32_t hash
) noexcept nogil:
    """7.11.3: store the first packet of a large one. APART if it is none."""
    cdef mdl_rxq *q = v.queue
    cdef mdl_rsc *c = NULL
    cdef uint32_t i, skip = TAG if q.strip and parsed.status & HW_RXD_STAT_VP else 0
    cdef uint32_t size = parsed.end - skip, needed = (size + q.buffer - 1) // q.buffer
    cdef uint32_t header = parsed.l4 + s.header - skip
    if s.flags & PSH or size < (p.regs[W_RDRXCTL] >> FIRST_SIZE_SHIFT & FIRST_SIZE_MASK) * 128:
        return APART
    for i in range(RSC_CONTEXTS):
        if not p.rsc[i].open:
            c = &p.rsc[i]
            break
    if c == NULL or needed > q.rsc_most or header > RSC_HEADER or not _has(p, v, needed):
        return APART
    _set_timer(p, q, v.index, c)
    c.open, c.queue, c.tci, c.tagged = 1, v.index, parsed.tci, parsed.status & HW_RXD_STAT_VP != 0
    c.src, c.dst, c.ports = mdl_load32(data + parsed.l3 + 12), mdl_load32(data + parsed.l3 + 16), mdl_load32(s.tcp)
    c.tos, c.stamped = s.tos, s.stamped
    c.packets = c.descriptors = c.bytes = 0
    c.l3, c.l4, c.header_size = parsed.l3 - skip, parsed.l4 - skip, header
    if skip:
        memcpy(c.header, data, parsed.tag_at)
        memcpy(c.header + parsed.tag_at, data + parsed.tag_at + TAG, header - parsed.tag_at)
    else:
        memcpy(c.header, data, header)
    p.rsc_open += 1
    if not _take(p, v, c):
        return _stalled(p, c)
    c.first = c.buffer
    _note(c, s, parsed, info, hash)
    if not _pour(p, v, c, c.header, header) or not _pour(p, v, c, s.tcp + s.header, s.n):
        return _stalled(p, c)
    return TAKEN


cdef int rsc_put(
    mdl_port *p, Visit *v, uint32_t index, mdl_frame *frame, const Parsed *parsed, uint32_t info, uint32_t hash
) noexcept nogil:
    cdef const uint8_t *data = frame.data
    cdef mdl_rxq *q = v.queue
    cdef mdl_rsc *c
    cdef Segment s
    cdef int fate
    if parsed.ip != 4 or parsed.protocol != PROTO_TCP or not parsed.l4:
        return APART
    _look(p, q, data, parsed, &s)
    c = _find(p, index, data + parsed.l3, parsed)
    if c != NULL and not (s.fit and _follows(p, v, c, &s)):
        _complete(p, c)
        c = NULL
    if not s.fit:
        return APART
    fate = _append(p, v, c, &s, parsed, info, hash) if c != NULL else _begin(p, v, data, &s, parsed, info, hash)
    if fate == TAKEN:
        _count(p, v, frame.len - (TAG if q.strip and parsed.status & HW_RXD_STAT_VP else 0))
        if c != NULL and (
            s.flags & PSH
            or c.started == STARTS_MAX
            or (c.descriptors == q.rsc_most and c.filled >= q.buffer)
        ):
            _complete(p, c)
    return fate


# ---- the port ----------------------------------------------------------------------------------------------------


cdef uint32_t rsc_due(mdl_port *p) noexcept nogil:
    cdef uint32_t i, done = 0
    if not p.rsc_open:
        return 0
    for i in range(RSC_CONTEXTS):
        if p.rsc[i].open and p.rsc[i].due <= p.now_ns:
            _complete(p, &p.rsc[i])
            done += 1
    return done


cdef void rsc_end(mdl_port *p, uint32_t index) noexcept nogil:
    cdef mdl_rxq *q = &p.rxq[index]
    cdef uint32_t i
    for i in range(RSC_CONTEXTS):
        if p.rsc[i].open and p.rsc[i].queue == index:
            if q.enabled and not q.stalled and q.domain != NULL:
                _complete(p, &p.rsc[i])
            else:
                _drop(p, &p.rsc[i])


cdef void rsc_forget(mdl_port *p) noexcept nogil:
    cdef uint32_t i
    for i in range(RSC_CONTEXTS):
        p.rsc[i].open = 0
    p.rsc_open = 0


cdef bint rsc_switched(mdl_port *p) noexcept nogil:
    cdef uint32_t *r = p.regs
    cdef bint on = (
        not r[W_RFCTL] & RSC_DIS
        and not r[W_VT_CTL] & VT_ENA
        and r[W_HLREG0] & CRC_STRIP != 0
        and r[W_PSRTYPE] & SPLIT_TCP != 0
    )
    if on == p.rsc_on:
        return False
    p.rsc_on = on
    if not on:
        p.merging = 0
    return True
