# SPDX-License-Identifier: BSD-3-Clause
"""The receive side (datasheet 7.1): MAC, packet buffer, queue, descriptor.

A frame in the packet buffer first passes the MAC: counters, errors, filters. Accepted frames are parsed, steered, and stored
in buffers of their queue, or of a queue of each pool that gets a copy. A queue without descriptors drops the frame, or blocks
all frames behind it. Then only the MAC continues, so that its counters and the overflow of the packet buffer are right
whatever the driver does. Frames that the switch returns to pools of the same port do not pass the MAC.
"""

from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memset

from dataplane.limits cimport FCS_BYTES, VLAN_TAG_BYTES
from dataplane.machine cimport likely, store_release, unlikely
from dataplane.pmd.datasheet.word cimport *
from dataplane.pmd.model.classify.packet cimport *
from dataplane.pmd.model.classify.pools cimport pools_of_arrival
from dataplane.pmd.model.classify.steer cimport QueueChoice, choose, redirect
from dataplane.pmd.model.datapath.iommu cimport translate
from dataplane.pmd.model.datapath.mac cimport mac, mac_alone
from dataplane.pmd.model.datapath.mac_stats cimport Tally, count, count36, flush_rx
from dataplane.pmd.model.datapath.rsc cimport rsc_due, rsc_put
from dataplane.pmd.model.datapath.rx_ring cimport (
    ALL_QUEUES,
    APART,
    DROPPED,
    TAKEN,
    WAITS,
    Visit,
    available,
    fetch,
    store,
    warm,
    write_back,
)
from dataplane.pmd.model.datapath.rxq cimport doubt
from dataplane.pmd.model.datapath.stamps cimport stamp_arrival
from dataplane.pmd.model.state.bytes cimport mdl_copy, mdl_ctz64, mdl_load64, mdl_publish64, mdl_store32
from dataplane.pmd.model.state.checksum cimport fcs
from dataplane.pmd.model.state.domain cimport WRITE
from dataplane.pmd.model.state.fifo cimport (
    BAD_CRC,
    COUNTED,
    DIRECTED_ONCE,
    INEXACT,
    IP_MADE,
    L4_MADE,
    LOCAL,
    REFUSED,
    RXE,
    mdl_fifo,
    mdl_frame,
    mdl_peek,
    mdl_pop,
    mdl_take_lost,
)
from dataplane.pmd.model.state.filter cimport ADDRESS, BROADCAST
from dataplane.pmd.model.state.port cimport mdl_violate
from dataplane.pmd.model.state.queue cimport mdl_rxq
from dataplane.pmd.model.state.violation cimport V_RX_SMALL_RING


# ---- descriptors -------------------------------------------------------------------------------------------------


cdef inline void _count_received(uint32_t *regs, uint32_t pool, uint32_t packets, uint64_t n) noexcept nogil:
    """9.4: a VF's counters wrap. SILENT: bytes as they are in memory."""
    cdef uint64_t sum = regs[W_PVFGORC_LSB + pool * 16] + n
    regs[W_PVFGPRC + pool * 16] += packets
    regs[W_PVFGORC_LSB + pool * 16] = <uint32_t> sum
    regs[W_PVFGORC_MSB + pool * 16] = (regs[W_PVFGORC_MSB + pool * 16] + (sum >> 32)) & 0xF


cdef void _leave(mdl_port *p, Visit *v) noexcept nogil:
    """Update the registers of the queue for the packets since it was entered."""
    cdef mdl_rxq *q = v.queue
    if q == NULL:
        return
    if v.packets:  # without packets the head must not be written: the queue may be off, and its driver may configure it
        store_release(q.head_reg, q.head)
        count(p.regs, W_QPRC + q.set * 16, v.packets)
        count36(p.regs, W_QBRC + q.set * 16, v.bytes)
        p.rx_causes[v.index >> 6] |= <uint64_t> 1 << (v.index & 63)
        if p.stats_queue == ALL_QUEUES or p.stats_queue == v.index:
            v.done_packets += v.packets
            v.done_bytes += v.bytes
        if p.pooled:
            _count_received(p.regs, v.index >> p.vt.shift, v.packets, v.bytes)
    v.queue = NULL


cdef inline mdl_rxq *_enter(mdl_port *p, Visit *v, uint32_t index) noexcept nogil:
    if v.queue != NULL and v.index == index:
        return v.queue
    _leave(p, v)
    v.queue, v.index, v.packets, v.bytes, v.available = &p.rxq[index], index, 0, 0, 0
    return v.queue


cdef uint32_t _available(mdl_port *p, mdl_rxq *q, uint32_t index) noexcept nogil:
    """Not inlined: it runs once a burst, and the code for each packet is shorter without it."""
    return available(p, q, index)


cdef uint64_t _legacy_status(uint32_t status) noexcept nogil:
    """QW1[63:32] of a legacy descriptor but the tag: status byte, then errors."""
    cdef uint64_t errors = 0
    if status & HW_RXD_ERR_RXE:
        errors |= HW_RXD_LEGACY_ERR_RXE
    if status & HW_RXD_ERR_L4E:
        errors |= HW_RXD_LEGACY_ERR_TCPE
    if status & HW_RXD_ERR_IPE:
        errors |= HW_RXD_LEGACY_ERR_IPE
    return <uint64_t> (status & 0xFF) << 32 | errors << 40


cdef int _put(
    mdl_port *p, Visit *v, uint32_t index, mdl_frame *frame, const Parsed *parsed, uint32_t info, uint32_t hash
) noexcept nogil:
    """Store the frame in a queue, or drop it there. WAITS: it has no descriptors."""
    cdef mdl_rxq *q = _enter(p, v, index)
    cdef const uint8_t *data = frame.data
    cdef uint32_t total = frame.len + (0 if p.crc_strip or frame.flags & LOCAL else FCS_BYTES)
    cdef uint32_t needed, piece, at, written = 0
    cdef uint32_t skip_at = 0, status = parsed.status | HW_RXD_STAT_DD
    cdef uint64_t[2] words
    cdef uint64_t high
    cdef int fate
    if unlikely(not q.enabled or q.stalled):
        return _drop(p, q)
    if unlikely(q.doubtful):
        doubt(p, q, index)
    if unlikely(q.merges):
        fate = rsc_put(p, v, index, frame, parsed, info, hash)
        if fate == DROPPED:
            return _drop(p, q)
        if fate != APART:
            return fate
    if q.strip and status & HW_RXD_STAT_VP:
        skip_at = parsed.tag_at
        total -= VLAN_TAG_BYTES
    needed = 1 if likely(total <= q.buffer) else (total + q.buffer - 1) // q.buffer
    if unlikely(v.available < needed):
        v.available = _available(p, q, index)
    if unlikely(v.available < needed):
        if not q.drop and needed < q.n:
            return WAITS
        if needed >= q.n:
            mdl_violate(p, V_RX_SMALL_RING, index, q.n, total)
        return _drop(p, q)
    at = q.head
    while True:
        if unlikely(not fetch(p, q, index, at, words)):
            return _drop(p, q)
        piece = total - written
        if piece > q.buffer:
            piece = q.buffer
        else:
            status |= HW_RXD_STAT_EOP
        if unlikely(skip_at and written == 0):
            store(q, words[0], data, skip_at, index)
            store(q, words[0] + skip_at, data + skip_at + VLAN_TAG_BYTES, piece - skip_at, index)
            data += VLAN_TAG_BYTES
        else:
            store(q, words[0], data + written, piece, index)
        written += piece
        if q.legacy:
            high = piece | _legacy_status(status) | <uint64_t> parsed.tci << 48
            write_back(p, q, index, at, words[0], high)
        else:
            # Status, errors and tag are valid in the last descriptor only.
            high = (status if status & HW_RXD_STAT_EOP else HW_RXD_STAT_DD) | <uint64_t> piece << 32
            write_back(p, q, index, at, info | <uint64_t> hash << 32, high | <uint64_t> parsed.tci << 48)
        at = at + 1 if at + 1 < q.n else 0
        if status & HW_RXD_STAT_EOP:
            break
    q.head = at
    v.available -= needed
    v.packets += 1
    v.bytes += total
    return TAKEN


cdef int _drop(mdl_port *p, mdl_rxq *q) noexcept nogil:
    count(p.regs, W_QPRDC + q.set * 16, 1)
    return DROPPED


cdef inline bint _put_usual(
    mdl_port *p, Visit *v, uint32_t index, mdl_frame *frame, const Parsed *parsed, uint32_t info, uint32_t hash
) noexcept nogil:
    """The fast path of `_put`: one buffer, nothing to remove or to add. False: use `_put`."""
    cdef mdl_rxq *q = _enter(p, v, index)
    cdef uint32_t n = frame.len, at = q.head
    cdef uint8_t *d = q.ring + at * 16
    cdef uint8_t *to
    cdef uint64_t status = parsed.status | HW_RXD_STAT_DD | HW_RXD_STAT_EOP
    if unlikely(not q.usual or not p.crc_strip or n > q.buffer):
        return False
    if unlikely(not v.available):
        v.available = _available(p, q, index)
        if not v.available:
            return False
    to = translate(q.domain, mdl_load64(d), n, WRITE)
    if unlikely(to == NULL or mdl_load64(d + 8) & 1):
        return False
    warm(q, at)
    mdl_copy(to, frame.data, n)
    (<uint64_t *> d)[0] = info | <uint64_t> hash << 32
    mdl_publish64(d + 8, status | <uint64_t> n << 32 | <uint64_t> parsed.tci << 48)  # DD last
    q.head = at + 1 if at + 1 < q.n else 0
    v.available -= 1
    v.packets += 1
    v.bytes += n
    return True


cdef inline void _mark(mdl_port *p, mdl_frame *frame, Parsed *parsed) noexcept nogil:
    """Set the status bits that the MAC decides; append the FCS unless it is stripped."""
    cdef uint32_t check
    if unlikely(frame.flags & (INEXACT | RXE)):
        if frame.flags & INEXACT:
            parsed.status |= HW_RXD_STAT_PIF
        if frame.flags & RXE:
            parsed.status |= HW_RXD_ERR_RXE
    if unlikely(not p.crc_strip):
        check = fcs(frame.data, frame.len)
        mdl_store32(frame.data + frame.len, ~check if frame.flags & BAD_CRC else check)


# ---- pools (7.10.3) ----------------------------------------------------------------------------------------------


cdef void _mark_local(mdl_frame *frame, Parsed *parsed) noexcept nogil:
    """7.10.3.4: a frame that was on no wire is not checked: only checksums that the chip made for the sender are good."""
    parsed.status |= HW_RXD_STAT_LB
    if not frame.flags & IP_MADE:
        parsed.status &= ~(HW_RXD_STAT_IPCS | HW_RXD_ERR_IPE)
    if not frame.flags & L4_MADE:
        parsed.status &= ~(HW_RXD_STAT_L4CS | HW_RXD_STAT_UDPCS | HW_RXD_STAT_UDPV | HW_RXD_ERR_L4E)


cdef void _count_copy(mdl_port *p, mdl_frame *frame, uint32_t pool, bint first) noexcept nogil:
    """8.2.3.23: count copies by their origin; 9.4: multicasts of a VF. SILENT: broadcasts are not multicasts, as in MPRC."""
    cdef uint32_t *r = p.regs
    if frame.data[0] & 1 and mdl_load64(frame.data) & ADDRESS != BROADCAST:
        r[W_PVFMPRC + pool * 16] += 1
    if frame.flags & LOCAL:
        count(r, W_RXLPBKGPC if first else W_RXDLPBKGPC, 1)
        count36(r, W_RXLPBKGBCL if first else W_RXDLPBKGBCL, frame.len)
    elif not first:
        count(r, W_RXDDGPC, 1)
        count36(r, W_RXDDGBCL, frame.len)


# ---- a frame ----------------------------------------------------------------------------------------------------


cdef void _choose(mdl_port *p, mdl_frame *frame, Parsed *parsed, QueueChoice *choice) noexcept nogil:
    """Select the queues of a frame."""
    cdef uint64_t pools = 0
    if p.pooled:
        if frame.flags & LOCAL:
            _mark_local(frame, parsed)
            pools = frame.pools & p.vt.receive
        else:
            pools = pools_of_arrival(p, frame.data, frame.len, parsed.etype)
    choose(p, frame.data, parsed, pools, choice)
    if not p.steer.hash_in_descriptor:
        choice.hash = fragment_words(frame.data, p.steer.ip_payload_sum, parsed)


cdef bint _put_directed(mdl_port *p, Visit *v, mdl_frame *frame, Parsed *parsed, QueueChoice *choice) noexcept nogil:
    """A copy for each queue, with the result of the flow director in its descriptors (7.1.2.7, counted once: 8.2.3.21)."""
    cdef Parsed told
    cdef uint32_t info, hash
    cdef uint64_t left
    redirect(p, frame.data, frame.len, parsed, choice)
    _mark(p, frame, parsed)
    left = 0 if frame.flags & DIRECTED_ONCE else p.director.looked
    while left:
        count(p.regs, W_FDIRMATCH if p.director.found[mdl_ctz64(left)].status else W_FDIRMISS, 1)
        left &= left - 1
    frame.flags |= DIRECTED_ONCE
    while frame.tag < choice.n:
        told, info, hash = parsed[0], choice.info, choice.hash
        if p.director.looked >> frame.tag & 1:
            told.status |= p.director.found[frame.tag].status
            if p.director.found[frame.tag].reports:
                info, hash = info & ~<uint32_t> 0xF | HW_RXD_RSS_DIRECTOR, p.director.found[frame.tag].report
        if not _put_each(p, v, frame, choice.queue, frame.tag + 1, &told, info, hash):
            return False
    if parsed.status & (HW_RXD_ERR_IPE | HW_RXD_ERR_L4E):
        count(p.regs, W_XEC, 1)
    return True


cdef bint _put_each(
    mdl_port *p, Visit *v, mdl_frame *frame, const uint8_t *queues, uint32_t n, const Parsed *parsed, uint32_t info,
    uint32_t hash,
) noexcept nogil:
    """A copy for each queue. False: one waits; `frame.tag` is the number of copies delivered."""
    cdef int fate
    while frame.tag < n:
        fate = _put(p, v, queues[frame.tag], frame, parsed, info, hash)
        if fate == WAITS:
            return False
        if fate == TAKEN and p.pooled:
            _count_copy(p, frame, queues[frame.tag] >> p.vt.shift, frame.tag == 0)
        frame.tag += 1
    return True


cdef bint _deliver(mdl_port *p, Visit *v, mdl_frame *frame) noexcept nogil:
    """Parse, steer, and store the frame in its queues. False: it must wait."""
    cdef Parsed parsed
    cdef QueueChoice choice
    cdef uint32_t n = 1, info, hash = 0  # apart from `choice`: in registers
    classify(&p.filter, frame.data, frame.len, &parsed)
    if likely(p.steer.simple):
        info, choice.queue[0] = parsed.info, 0
    else:
        if unlikely(p.steer.stamps):
            stamp_arrival(p, frame, &parsed)
        _choose(p, frame, &parsed, &choice)
        if unlikely(p.steer.directs):
            return _put_directed(p, v, frame, &parsed, &choice)
        n, info, hash = choice.n, choice.info, choice.hash
    _mark(p, frame, &parsed)
    if unlikely(n != 1 or not _put_usual(p, v, choice.queue[0], frame, &parsed, info, hash)):
        if not _put_each(p, v, frame, choice.queue, n, &parsed, info, hash):
            return False
    elif unlikely(p.pooled):
        _count_copy(p, frame, choice.queue[0] >> p.vt.shift, True)
    if unlikely(parsed.status & (HW_RXD_ERR_IPE | HW_RXD_ERR_L4E)):
        count(p.regs, W_XEC, 1)
    return True


# ---- a step ------------------------------------------------------------------------------------------------------


cdef uint32_t _empty(mdl_port *p, mdl_fifo *fifo, uint32_t budget, Visit *v) noexcept nogil:
    """Deliver up to `budget` frames of the packet buffer, or of those that the switch returned, which skip the MAC."""
    cdef mdl_frame *frame = mdl_peek(fifo)
    cdef Tally tally
    cdef uint32_t done = 0
    cdef bint wanted
    if frame == NULL:
        return 0
    if unlikely(fifo.lost_unseen):
        count(p.regs, W_RXMPC, mdl_take_lost(fifo))
    memset(&tally, 0, sizeof(tally))
    while frame != NULL and done < budget:
        wanted = not frame.flags & REFUSED if frame.flags & (COUNTED | LOCAL) else mac(p, frame, &tally)
        if wanted and (p.rx_held or not _deliver(p, v, frame)):
            frame.flags |= COUNTED
            if fifo == p.rx_fifo:
                mac_alone(p, &tally)
            break
        mdl_pop(fifo, frame)
        done += 1
        frame = mdl_peek(fifo)
    if tally.packets + tally.refused + tally.bad:
        flush_rx(p.regs, &tally)
    return done


cdef uint32_t rx_step(mdl_port *p, uint32_t budget) noexcept nogil:
    cdef Visit visit
    cdef uint32_t done
    memset(&visit, 0, sizeof(visit))
    done = _empty(p, p.rx_fifo, budget, &visit)
    if p.pooled:
        done += _empty(p, p.switched, budget, &visit)
    _leave(p, &visit)
    if unlikely(p.merging):
        done += rsc_due(p)
    if visit.done_packets:
        count(p.regs, W_RXDGPC, visit.done_packets)
        count36(p.regs, W_RXDGBCL, visit.done_bytes)
    return done
