# SPDX-License-Identifier: BSD-3-Clause
"""The transmit side (datasheet 7.2): descriptors, data, completion.

A frame is assembled where it will be read: in the peer's packet buffer, or in the buffer of a wire that delays. The usual
descriptor (advanced, a whole frame, no offload) has a fast path; all others go through `assemble`. A port with pools
assembles frames in the Tx buffer, and `switch` sends them from there.
"""

from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memset

from dataplane.limits cimport FCS_BYTES, FRAME_MIN_WITHOUT_FCS_BYTES, PREAMBLE_AND_GAP_BYTES
from dataplane.machine cimport likely, read32, rmb, store_release, unlikely
from dataplane.pmd.datasheet.limits cimport TX_PACKET_MIN_WITHOUT_FCS_BYTES
from dataplane.pmd.datasheet.word cimport *
from dataplane.pmd.model.datapath.assemble cimport AGAIN, NO_ROOM, assemble
from dataplane.pmd.model.datapath.iommu cimport dma_read, dma_write, lookup, translate
from dataplane.pmd.model.datapath.mac_stats cimport Tally, count, count36, flush_tx, note_good
from dataplane.pmd.model.datapath.switch cimport switch_out
from dataplane.pmd.model.state.bytes cimport mdl_copy, mdl_ctz64, mdl_load32, mdl_load64, mdl_publish32
from dataplane.pmd.model.state.domain cimport READ, TX_DESC_FETCH, TX_DESC_WRITE, TX_HEAD_WRITE, WRITE
from dataplane.pmd.model.state.fifo cimport (
    mdl_commit,
    mdl_fifo,
    mdl_fifo_refresh,
    mdl_frame,
    mdl_label_whole,
    mdl_reserve,
)
from dataplane.pmd.model.state.port cimport mdl_port, mdl_violate
from dataplane.pmd.model.state.queue cimport mdl_txq
from dataplane.pmd.model.state.violation cimport V_TX_QUEUE, V_TX_TAIL

cdef extern from *:
    """
    #include "hw82599.h"
    /* What tells the usual descriptor from all others. */
    #define TX_FORM (HW_TXD_DTYP_MASK | HW_TXD_CMD_DEXT | HW_TXD_CMD_EOP | HW_TXD_CMD_IFCS | HW_TXD_CMD_TSE | HW_TXD_CMD_VLE \
                     | HW_TXD_MAC_LINKSEC | HW_TXD_MAC_1588)
    #define TX_PLAIN (HW_TXD_DTYP_DATA | HW_TXD_CMD_DEXT | HW_TXD_CMD_EOP | HW_TXD_CMD_IFCS)
    #define TX_CONTEXT (HW_TXD_DTYP_CTX | HW_TXD_CMD_DEXT)
    #define TX_POPTS (HW_TXD_POPTS_IXSM | HW_TXD_POPTS_TXSM | HW_TXD_POPTS_IPSEC)
    """
    const uint32_t FORM "TX_FORM"
    const uint32_t PLAIN "TX_PLAIN"
    const uint32_t CONTEXT "TX_CONTEXT"
    const uint32_t HW_TXD_POPTS "TX_POPTS"
    const uint32_t HW_TXD_LEN_MASK
    const uint32_t HW_TXD_CMD_RS
    const uint32_t HW_TXD_CMD_DEXT
    const uint32_t HW_TXD_DTYP_MASK
    const uint32_t HW_TXD_PAYLEN_SHIFT
    const uint32_t HW_TXD_STAT_DD

cdef enum:
    ODD = -9  # not the usual descriptor
    LINE_SLACK = 100_000 << 6  # ns / 64 that a step may come late without the link losing time
    PLAIN_QUEUES = 64  # without pools and traffic classes the others do not transmit
    TURN = 32  # packets of a queue before the next one's turn
    TAGGING_BY_DESCRIPTOR = 0  # PFVMVIR.VLANA


cdef void decode_txq(mdl_port *p, uint32_t index) noexcept nogil:
    cdef uint32_t *r = p.regs + W_TXQ + index * 16
    cdef mdl_txq *q = &p.txq[index]
    cdef uint64_t bit = <uint64_t> 1 << (index & 63)
    q.head_reg = r + W_TDH
    p.tx_bell[index] = p.tx_tail[index]
    q.domain = p.domain_of_pool[index >> p.pool_shift] if p.pool_shift else p.domain
    q.wthresh = r[W_TXDCTL] >> 16 & 0x7F
    q.head_wb = r[W_TDWBAL] & 1
    q.head_address = (r[W_TDWBAL] & ~<uint32_t> 3) | <uint64_t> r[W_TDWBAH] << 32
    q.set = p.regs[W_TQSM + (index >> 2)] >> ((index & 3) * 8) & 0xF
    if not r[W_TXDCTL] >> 25 & 1 or q.domain == NULL:
        q.enabled = 0
        p.tx_enabled[index >> 6] &= ~bit
        return
    if not q.enabled:
        q.base = (r[W_TDBAL] & ~<uint32_t> 0x7F) | <uint64_t> r[W_TDBAH] << 32
        q.n = (r[W_TDLEN] & 0xFFFFF) >> 4 & ~<uint32_t> 7
        q.head = r[W_TDH] & 0xFFFF
        if q.head >= q.n:
            q.head = 0
        q.written = p.tx_at[index] = q.head
        p.tx_due[index >> 6] &= ~bit
        q.segments_sent = 0
        q.bad_tail = 0xFFFFFFFF
        q.warned = 0
        memset(q.context, 0, sizeof(q.context[0]) * 2)
    q.enabled, q.stalled = q.n != 0, 0
    q.ring = NULL
    if q.n and lookup(q.domain, q.base, q.n * 16, READ) != NULL:
        q.ring = lookup(q.domain, q.base, q.n * 16, WRITE)
    if q.enabled:
        p.tx_enabled[index >> 6] |= bit


# ---- completion (7.2.3.5) ----------------------------------------------------------------------------------------


cdef void _write_done(mdl_port *p, mdl_txq *q, uint32_t index, uint32_t at) noexcept nogil:
    cdef uint32_t done = HW_TXD_STAT_DD
    if likely(q.ring != NULL):
        mdl_publish32(q.ring + at * 16 + 12, done)
    else:
        dma_write(q.domain, q.base + at * 16 + 12, <uint8_t *> &done, 4, TX_DESC_WRITE, index)


cdef void _write_head(mdl_port *p, mdl_txq *q, uint32_t index) noexcept nogil:
    cdef uint8_t *to = translate(q.domain, q.head_address, 4, WRITE)
    if to != NULL and not q.head_address & 3:
        mdl_publish32(to, q.head)
    else:
        dma_write(q.domain, q.head_address, <uint8_t *> &q.head, 4, TX_HEAD_WRITE, index)


cdef inline uint32_t _lower_word(mdl_port *p, mdl_txq *q, uint32_t index, uint32_t at) noexcept nogil:
    cdef uint32_t lower = 0
    if likely(q.ring != NULL):
        return mdl_load32(q.ring + at * 16 + 8)
    dma_read(q.domain, <uint8_t *> &lower, q.base + at * 16 + 8, 4, TX_DESC_FETCH, index)
    return lower


cdef inline uint32_t _report(mdl_port *p, mdl_txq *q, uint32_t index, uint32_t at, bint at_once) noexcept nogil:
    """Whether the descriptor wants its end reported; done at once if neither WTHRESH nor head write-back is on."""
    cdef uint32_t lower = _lower_word(p, q, index, at)
    if not lower & HW_TXD_CMD_RS or lower & (HW_TXD_CMD_DEXT | HW_TXD_DTYP_MASK) == CONTEXT:
        return 0
    if at_once:
        _write_done(p, q, index, at)
    return 1


cdef void _write_group(mdl_port *p, mdl_txq *q, uint32_t index) noexcept nogil:
    """Everything done since the last write-back: DD in the descriptors that asked for it."""
    while q.written != q.head:
        _report(p, q, index, q.written, True)
        q.written = q.written + 1 if q.written + 1 < q.n else 0


cdef void _complete(mdl_port *p, mdl_txq *q, uint32_t index, uint32_t asked, bint idle) noexcept nogil:
    """After a turn. `asked`: some descriptor had RS; with WTHRESH = 0 and no head write-back DD is in memory already.

    With WTHRESH descriptors are written back in groups; what is left goes out when the queue runs empty, where
    silicon waits for the interrupt timer.
    """
    cdef uint32_t pending
    if q.head_wb:
        if asked:
            _write_head(p, q, index)
    elif q.wthresh:
        pending = q.head - q.written if q.head >= q.written else q.head + q.n - q.written
        if pending < q.wthresh and not idle:
            return
        _write_group(p, q, index)
    if asked:
        p.tx_causes[index >> 6] |= <uint64_t> 1 << (index & 63)


# ---- a turn of one queue -----------------------------------------------------------------------------------------


cdef inline int _plain(
    mdl_port *p, mdl_txq *q, uint32_t at, mdl_fifo *out, uint64_t sender, Tally *tally
) noexcept nogil:
    """The usual descriptor: advanced, a whole frame, FCS by the MAC, no offload. 1: sent; else as `assemble`, or ODD.

    sender: the pool, where a frame has it.
    """
    cdef uint8_t *d = q.ring + at * 16
    cdef uint32_t lower = mdl_load32(d + 8), upper = mdl_load32(d + 12), n = lower & HW_TXD_LEN_MASK, size
    cdef uint8_t *source
    cdef mdl_frame *frame
    if unlikely(
        lower & FORM != PLAIN
        or upper & HW_TXD_POPTS
        or upper >> HW_TXD_PAYLEN_SHIFT != n
        or n < TX_PACKET_MIN_WITHOUT_FCS_BYTES
        or n + FCS_BYTES > p.tx_max
    ):
        return ODD
    source = translate(q.domain, mdl_load64(d), n, READ)
    if unlikely(source == NULL):
        return ODD
    size = n if n > FRAME_MIN_WITHOUT_FCS_BYTES else FRAME_MIN_WITHOUT_FCS_BYTES
    frame = mdl_reserve(out, size)
    if unlikely(frame == NULL):
        return NO_ROOM if p.waits else ODD
    mdl_copy(frame.data, source, n)
    if n < size:
        memset(frame.data + n, 0, size - n)
    mdl_label_whole(frame, size | sender, p.now_ns)
    note_good(tally, frame.data, size + FCS_BYTES)
    mdl_commit(out, size)
    return 1


cdef uint32_t _turn(
    mdl_port *p, uint32_t index, uint32_t tail, mdl_fifo *out, uint32_t turn, Tally *tally, bint *blocked
) noexcept nogil:
    """Up to `turn` packets of a queue. Returns how many it took; sets *blocked if the wire takes no more."""
    cdef mdl_txq *q = &p.txq[index]
    cdef uint32_t at = q.head, taken = 0, asked = 0
    cdef uint32_t packets = tally.packets, sent
    cdef uint64_t bytes_before = tally.bytes, sender = <uint64_t> q.sender << 32
    cdef bint at_once = not q.wthresh and not q.head_wb
    cdef bint plain = q.ring != NULL and p.tx_plain and q.tagging == TAGGING_BY_DESCRIPTOR
    cdef int used
    rmb()  # the descriptors are as new as the tail
    while taken < turn and at != tail:
        used = _plain(p, q, at, out, sender, tally) if likely(plain) else ODD
        if unlikely(used == ODD):
            sent = tally.packets
            used = assemble(p, index, at, tail, turn - taken, out, tally)
            sent = tally.packets - sent
            if used == AGAIN:  # each segment is one of the turn
                taken += sent
            elif sent > 1:
                taken += sent - 1
        if unlikely(used <= 0):
            blocked[0] = used == NO_ROOM
            break
        taken += 1
        while used:
            asked |= _report(p, q, index, at, at_once)
            at = at + 1 if at + 1 < q.n else 0
            used -= 1
    if taken or q.written != at and q.wthresh:
        q.head = p.tx_at[index] = at
        store_release(q.head_reg, at)
        _complete(p, q, index, asked, at == tail)
        if q.wthresh:
            p.tx_due[index >> 6] &= ~(<uint64_t> 1 << (index & 63))
            p.tx_due[index >> 6] |= <uint64_t> (q.written != at) << (index & 63)
    packets = tally.packets - packets
    if packets:
        count(p.regs, W_QPTC + q.set * 16, packets)
        count36(p.regs, W_QBTC + q.set * 2, tally.bytes - bytes_before - FCS_BYTES * packets)
        if q.rate:
            _spend(p, q, tally.bytes - bytes_before)
    return taken


# ---- rates (7.7.2.1) ---------------------------------------------------------------------------------------------


cdef void _spend(mdl_port *p, mdl_txq *q, uint64_t sent) noexcept nogil:
    """The queue has sent that many bytes, with FCS: it rests as long as its rate asks.

    An idle queue gains credit, up to the limit in RTTBCNRM. SILENT: preambles and gaps between frames cost nothing.
    """
    cdef uint64_t now = p.now_ns << 6, window = _duration(p, p.credit, q.rate)
    if q.idle_at + window < now:
        q.idle_at = now - window
    q.idle_at += _duration(p, sent, q.rate)


cdef inline uint64_t _duration(mdl_port *p, uint64_t n, uint32_t rate) noexcept nogil:
    """Of n bytes at the line's speed, stretched by the factor `rate` (14 bits behind the point), in ns / 64."""
    return n * rate * p.slow * 256 // 5 >> 14


cdef void _occupy(mdl_port *p, const Tally *sent) noexcept nogil:
    """A link below 10 Gb/s is busy with frames, preambles and gaps; at 10 Gb/s the model goes as fast as the host does."""
    cdef uint64_t now = p.now_ns << 6
    if p.line_at + LINE_SLACK < now:
        p.line_at = now - LINE_SLACK
    p.line_at += _duration(p, sent.bytes + PREAMBLE_AND_GAP_BYTES * <uint64_t> sent.packets, 1 << 14)


# ---- a step ------------------------------------------------------------------------------------------------------


cdef bint _has_work(mdl_port *p, uint32_t index, uint32_t *tail) noexcept nogil:
    """Sets *tail: it is read once, because a driver may change it to anything at any time."""
    cdef mdl_txq *q = &p.txq[index]
    tail[0] = read32(p.tx_bell[index])
    if likely(tail[0] == q.head):
        return q.wthresh and q.written != q.head
    if q.stalled or q.rate and q.idle_at > p.now_ns << 6:
        return False
    if tail[0] >= q.n:
        if q.bad_tail != tail[0]:
            q.bad_tail = tail[0]
            mdl_violate(p, V_TX_TAIL, index, q.n, tail[0])
        return False
    if index >= PLAIN_QUEUES and not p.many_queues:
        if not q.warned:
            q.warned = 1
            mdl_violate(p, V_TX_QUEUE, index, 0, index)
        return False
    return True


cdef uint64_t _ringing(mdl_port *p, uint32_t half) noexcept nogil:
    """Queues that may have something to do: their doorbells have been rung, or they have write-backs due."""
    cdef uint64_t left = p.tx_enabled[half] & p.tx_gate[half], found = left & p.tx_due[half]
    cdef uint32_t index
    while left:
        index = mdl_ctz64(left)
        left &= left - 1
        found |= <uint64_t> (read32(p.tx_bell[half * 64 + index]) != p.tx_at[half * 64 + index]) << index
    return found


cdef inline uint32_t _next(const uint64_t *ringing, uint32_t first) noexcept nogil:
    """The next of these queues from `first`, wrapping. The mask must not be zero."""
    cdef uint32_t half = first >> 6
    cdef uint64_t left = ringing[half] >> (first & 63) << (first & 63)
    if not left:
        half ^= 1
        left = ringing[half]
    if not left:
        half ^= 1
        left = ringing[half]
    return half * 64 + mdl_ctz64(left)


cdef inline uint32_t _turn_of_pool(mdl_port *p, uint64_t *ringing, uint32_t index, bint *more) noexcept nogil:
    """7.7.2: pools take turns, and within a pool its queues: one with many of them gets no more than one with one.

    Returns the queue of `index`'s pool whose turn it is. The others wait; *more is set if any does.
    SILENT: without RTTDT1C's weights (RTTDCS.VMPAC).
    """
    cdef uint32_t size = 1 << p.vt.tx_shift, first = index & ~(size - 1), pool = first >> p.vt.tx_shift
    cdef uint64_t every = ((<uint64_t> 1 << size) - 1) << (first & 63)
    cdef uint64_t mine = (ringing[first >> 6] & every) >> (first & 63)
    cdef uint64_t later = mine >> p.tx_turn[pool] << p.tx_turn[pool]
    cdef uint32_t queue = mdl_ctz64(later if later else mine)
    ringing[first >> 6] &= ~every
    more[0] |= mine & (mine - 1) != 0
    p.tx_turn[pool] = (queue + 1) & (size - 1)
    p.tx_next = (first + size) & 127
    return first + queue


cdef uint32_t _fetch_all(mdl_port *p, uint32_t budget, mdl_fifo *wire, Tally *fetched, Tally *sent) noexcept nogil:
    """Give each ringing queue a turn, again and again, from the queue after the last one. Returns the packets taken."""
    cdef mdl_fifo *out = p.tx_buffer if p.pooled else wire
    cdef uint32_t taken = 0, before, index, tail
    cdef uint64_t[2] ringing
    cdef bint blocked = False, more = True
    while more and not blocked and taken < budget:
        before, more = taken, False
        ringing[0], ringing[1] = _ringing(p, 0), _ringing(p, 1)
        while ringing[0] | ringing[1] and not blocked and taken < budget:
            index = _next(ringing, p.tx_next)
            if p.pooled:
                index = _turn_of_pool(p, ringing, index, &more)
            else:
                ringing[index >> 6] &= ~(<uint64_t> 1 << (index & 63))
                p.tx_next = (index + 1) & 127
            if not _has_work(p, index, &tail):
                continue
            taken += _turn(p, index, tail, out, 1 if p.txq[index].rate else min(TURN, budget - taken), fetched, &blocked)
            more |= p.tx_at[index] != tail
            if p.pooled and not switch_out(p, wire, sent):
                blocked = True
        if taken == before:
            break
    return taken


cdef uint32_t tx_step(mdl_port *p, uint32_t budget) noexcept nogil:
    cdef mdl_fifo *wire = p.rx_fifo if p.loopback else p.tx_fifo
    cdef uint32_t taken = 0
    cdef Tally fetched, sent
    cdef Tally *through = &fetched
    if p.slow > 1 and p.line_at > p.now_ns << 6:
        return 0
    if wire == NULL or not p.tx_on or not (p.tx_enabled[0] | p.tx_enabled[1]):
        return 0
    memset(&fetched, 0, sizeof(fetched))
    p.waits = p.elastic or p.pooled
    mdl_fifo_refresh(wire)
    if p.pooled:
        memset(&sent, 0, sizeof(sent))
        through = &sent
        mdl_fifo_refresh(p.tx_buffer)
    if not p.pooled or switch_out(p, wire, &sent):
        taken = _fetch_all(p, budget, wire, &fetched, &sent)
    if fetched.packets:
        count(p.regs, W_TXDGPC, fetched.packets)
        count36(p.regs, W_TXDGBCL, fetched.bytes - FCS_BYTES * fetched.packets)
    if through.packets:
        flush_tx(p.regs, through)
        if p.slow > 1:
            _occupy(p, through)
    return taken
