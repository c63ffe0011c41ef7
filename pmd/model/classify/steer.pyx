# SPDX-License-Identifier: BSD-3-Clause
"""Steering: EtherType, SYN and 5-tuple filters, flow director, RSS, traffic classes; in this order (datasheet 7.1.2).

Without pools a frame has one target; with pools (7.10.3.3) one in each that takes a copy, found in the same way within it.
SILENT: a filter that names a queue does so in the pool which that queue belongs to; other pools' copies are not its affair.
SILENT: of 5-tuple filters with equal priority the lowest index wins; a SYN filter takes every segment with SYN set.
"""


from libc.string cimport memcmp, memcpy

from dataplane.pmd.datasheet.word cimport *
from dataplane.pmd.model.classify.director cimport direct
from dataplane.pmd.model.classify.packet cimport (
    HW_RXD_PTYPE_ETQF,
    HW_RXD_PTYPE_ETQF_SHIFT,
    HW_RXD_STAT_VP,
    PROTO_SCTP,
    PROTO_TCP,
    PROTO_UDP,
)
from dataplane.pmd.model.state.bytes cimport mdl_ctz64, mdl_load32
from dataplane.pmd.model.state.steer cimport TUPLES, mdl_tuple

cdef enum:
    # MRQC.MRQE
    MRQE_RSS = 1
    MRQE_8TC = 2
    MRQE_4TC = 3
    MRQE_8TC_RSS = 4
    MRQE_4TC_RSS = 5
    MRQE_32POOLS_RSS = 10
    MRQE_64POOLS_RSS = 11
    # MRQC[31:16], shifted down, and the types they give in the descriptor
    FIELD_TCP_IPV4 = 1 << 0
    FIELD_IPV4 = 1 << 1
    FIELD_TCP_IPV6_EX = 1 << 2
    FIELD_IPV6_EX = 1 << 3
    FIELD_IPV6 = 1 << 4
    FIELD_TCP_IPV6 = 1 << 5
    FIELD_UDP_IPV4 = 1 << 6
    FIELD_UDP_IPV6 = 1 << 7
    FIELD_UDP_IPV6_EX = 1 << 8
    TYPE_TCP_IPV4 = 1
    TYPE_IPV4 = 2
    TYPE_TCP_IPV6 = 3
    TYPE_IPV6_EX = 4
    TYPE_IPV6 = 5
    TYPE_TCP_IPV6_EX = 6
    TYPE_UDP_IPV4 = 7
    TYPE_UDP_IPV6 = 8
    TYPE_UDP_IPV6_EX = 9
    # FTQF.PROTOCOL
    FTQF_TCP = 0
    FTQF_UDP = 1
    FTQF_SCTP = 2
    FTQF_OTHER = 3
    SYN_FLAG = 2
    IPPCSE = 1 << 12
    PCSD = 1 << 13
    VT_ENA = 1 << 0
    KEY_SIZE = 40


cdef void decode_steer(mdl_steer *s, uint32_t *regs) noexcept nogil:
    cdef uint32_t index, mrqc = regs[W_MRQC], word
    s.mrqe = mrqc & 0xF
    s.fields = mrqc >> 16
    s.rss = s.fields != 0 and s.mrqe in (
        MRQE_RSS, MRQE_8TC_RSS, MRQE_4TC_RSS, MRQE_32POOLS_RSS, MRQE_64POOLS_RSS
    )
    s.hash_in_descriptor = (regs[W_RXCSUM] & PCSD) != 0
    s.ip_payload_sum = (regs[W_RXCSUM] & IPPCSE) != 0
    for index in range(128):
        s.reta[index] = regs[W_RETA + (index >> 2)] >> ((index & 3) * 8) & 0xF
    s.any_etqf = 0
    for index in range(8):
        s.etqf[index] = regs[W_ETQF + index]
        s.etqs[index] = regs[W_ETQS + index]
        if s.etqf[index] >> 31:
            s.any_etqf = 1
    word = regs[W_SYNQF]
    s.syn, s.syn_queue, s.syn_first = word & 1, word >> 1 & 0x7F, word >> 31
    _decode_tuples(s, regs)
    s.simple = not (s.mrqe or s.any_etqf or s.syn or s.tuples or s.directs or regs[W_VT_CTL] & VT_ENA)
    s.stamps = regs[W_TSYNCRXCTL] >> 4 & 1
    s.simple = s.simple and s.hash_in_descriptor and not s.stamps
    if s.rss and (not s.keyed or memcmp(s.key, regs + W_RSSRK, KEY_SIZE)):
        memcpy(s.key, regs + W_RSSRK, KEY_SIZE)
        s.keyed = 1
        _decode_key(s, s.key)


cdef void _decode_tuples(mdl_steer *s, uint32_t *regs) noexcept nogil:
    cdef uint32_t index, ftqf, ports
    cdef int priority
    cdef mdl_tuple *t
    s.tuples = 0
    for priority in range(7, -1, -1):
        for index in range(TUPLES):
            ftqf = regs[W_FTQF + index]
            if not ftqf >> 31 or <int> (ftqf >> 2 & 7) != priority:
                continue
            t = &s.tuple[s.tuples]
            s.tuples += 1
            t.src_mask = 0 if ftqf >> 25 & 1 else <uint32_t> 0xFFFFFFFF
            t.dst_mask = 0 if ftqf >> 26 & 1 else <uint32_t> 0xFFFFFFFF
            t.ports_mask = (0 if ftqf >> 27 & 1 else 0xFFFF) | (0 if ftqf >> 28 & 1 else <uint32_t> 0xFFFF0000)
            t.src = regs[W_SAQF + index] & t.src_mask
            t.dst = regs[W_DAQF + index] & t.dst_mask
            ports = regs[W_SDPQF + index]
            t.ports = ports & t.ports_mask
            t.protocol, t.any_protocol = ftqf & 3, ftqf >> 29 & 1
            t.pool, t.any_pool = ftqf >> 8 & 63, ftqf >> 30 & 1
            t.queue = regs[W_L34TIMIR + index] >> 21 & 0x7F


cdef void _decode_key(mdl_steer *s, const uint8_t *key) noexcept nogil:
    """A table for each byte of the input: 36 look-ups at most instead of 288 shifts (7.1.2.8.2)."""
    cdef uint32_t at, value, bit, window, low
    cdef uint32_t[8] of_bit
    for at in range(36):
        for bit in range(8):
            # The 32 bits of the key from this bit of the input on, most significant first.
            window = (
                <uint32_t> key[at] << 24
                | <uint32_t> key[at + 1] << 16
                | <uint32_t> key[at + 2] << 8
                | key[at + 3]
            )
            of_bit[bit] = window << bit | (<uint32_t> key[at + 4] >> (8 - bit) if bit else 0)
        s.toeplitz[at][0] = 0
        for value in range(1, 256):
            low = value & -value
            bit = 0
            while not low >> bit & 1:
                bit += 1
            s.toeplitz[at][value] = s.toeplitz[at][value ^ low] ^ of_bit[7 - bit]


cdef uint32_t _toeplitz(
    const mdl_steer *s, const uint8_t *addresses, uint32_t n, const uint8_t *ports
) noexcept nogil:
    cdef uint32_t result = 0, at
    for at in range(n):
        result ^= s.toeplitz[at][addresses[at]]
    if ports != NULL:
        for at in range(4):
            result ^= s.toeplitz[n + at][ports[at]]
    return result


cdef uint32_t _rss(const mdl_steer *s, const uint8_t *data, const Parsed *p, uint32_t *hash) noexcept nogil:
    """The RSS type, 0 if nothing applies."""
    cdef uint32_t fields = s.fields
    cdef const uint8_t *ports = data + p.l4 if p.l4 else NULL
    cdef uint32_t kind = 0
    if p.ip == 4:
        if ports != NULL and p.protocol == PROTO_TCP and fields & FIELD_TCP_IPV4:
            kind = TYPE_TCP_IPV4
        elif ports != NULL and p.protocol == PROTO_UDP and fields & FIELD_UDP_IPV4:
            kind = TYPE_UDP_IPV4
        elif fields & FIELD_IPV4:
            kind, ports = TYPE_IPV4, NULL
        else:
            return 0
        hash[0] = _toeplitz(s, data + p.l3 + 12, 8, ports)
        return kind
    if p.ip != 6:
        return 0
    if ports != NULL and p.protocol == PROTO_TCP:
        if fields & FIELD_TCP_IPV6 and not p.extended:
            kind = TYPE_TCP_IPV6
        elif fields & FIELD_TCP_IPV6_EX:
            kind = TYPE_TCP_IPV6_EX
    elif ports != NULL and p.protocol == PROTO_UDP:
        if fields & FIELD_UDP_IPV6 and not p.extended:
            kind = TYPE_UDP_IPV6
        elif fields & FIELD_UDP_IPV6_EX:
            kind = TYPE_UDP_IPV6_EX
    if not kind:
        ports = NULL
        if fields & FIELD_IPV6 and not p.extended:
            kind = TYPE_IPV6
        elif fields & FIELD_IPV6_EX:
            kind = TYPE_IPV6_EX
        elif fields & FIELD_IPV6:
            kind = TYPE_IPV6
        else:
            return 0
    hash[0] = _toeplitz(s, data + p.l3 + 8, 32, ports)
    return kind


cdef inline bint _serves(mdl_port *port, int pool, uint32_t queue) noexcept nogil:
    """Whether a filter that names this queue is of use in the pool; -1: there are no pools."""
    return pool < 0 or <int> (queue >> port.vt.shift) == pool


cdef int _tuple_queue(mdl_port *port, const uint8_t *data, const Parsed *p, int pool) noexcept nogil:
    """The queue of the first matching 5-tuple filter, -1 for none. They match IPv4 only."""
    cdef const mdl_steer *s = &port.steer
    cdef uint32_t index, src, dst, ports = 0, protocol
    cdef const mdl_tuple *t
    if p.ip != 4:
        return -1
    src, dst = mdl_load32(data + p.l3 + 12), mdl_load32(data + p.l3 + 16)
    if p.l4:
        ports = mdl_load32(data + p.l4)  # SILENT: SDPQF holds them in network order, as drivers write it
    if p.protocol == PROTO_TCP:
        protocol = FTQF_TCP
    elif p.protocol == PROTO_UDP:
        protocol = FTQF_UDP
    elif p.protocol == PROTO_SCTP:
        protocol = FTQF_SCTP
    else:
        protocol = FTQF_OTHER
    for index in range(s.tuples):
        t = &s.tuple[index]
        if (
            src & t.src_mask == t.src
            and dst & t.dst_mask == t.dst
            and (t.any_protocol or t.protocol == protocol)
            and (t.ports_mask == 0 or (p.l4 and ports & t.ports_mask == t.ports))
            and _serves(port, pool, t.queue)
            and (t.any_pool or pool < 0 or t.pool == pool)
        ):
            return t.queue
    return -1


cdef int _filter_queue(mdl_port *port, const uint8_t *data, const Parsed *p, int pool) noexcept nogil:
    """SYN and 5-tuple filters in the order that SYNQF.SYNQFP says; -1 for none."""
    cdef const mdl_steer *s = &port.steer
    cdef int by_syn = -1, by_tuple = -1
    if s.syn and _serves(port, pool, s.syn_queue) and p.l4 and p.protocol == PROTO_TCP and data[p.l4 + 13] & SYN_FLAG:
        by_syn = s.syn_queue
    if s.tuples:
        by_tuple = _tuple_queue(port, data, p, pool)
    if by_syn >= 0 and (s.syn_first or by_tuple < 0):
        return by_syn
    return by_tuple


cdef uint32_t _traffic_class(mdl_port *port, const Parsed *p) noexcept nogil:
    cdef uint32_t priority = p.tci >> 13 if p.status & HW_RXD_STAT_VP else 0
    return port.regs[W_RTRUP2TC] >> (3 * priority) & 7


cdef uint32_t _hashed_queue(mdl_port *port, const Parsed *p, uint32_t kind, uint32_t hash) noexcept nogil:
    """RSS and traffic classes: the table of MRQC.MRQE (8.2.3.7.12). SILENT: a frame without a hash gets index 0, not RETA[0]."""
    cdef const mdl_steer *s = &port.steer
    cdef uint32_t entry = s.reta[hash & 0x7F] if kind else 0
    if s.mrqe == MRQE_RSS:
        return entry
    if s.mrqe == MRQE_8TC:
        return _traffic_class(port, p) * 16
    if s.mrqe == MRQE_4TC:
        return (_traffic_class(port, p) & 3) * 32
    if s.mrqe == MRQE_8TC_RSS:
        return _traffic_class(port, p) * 16 + entry
    if s.mrqe == MRQE_4TC_RSS:
        return (_traffic_class(port, p) & 3) * 32 + entry
    return 0


cdef int _filters(mdl_port *port, const uint8_t *data, const Parsed *p, int pool, uint32_t *info) noexcept nogil:
    """The queue that an EtherType, SYN or 5-tuple filter names, -1 for none. An EtherType filter shows in *info."""
    cdef const mdl_steer *s = &port.steer
    cdef uint32_t index
    if s.any_etqf:
        for index in range(8):
            if s.etqf[index] >> 31 and s.etqf[index] & 0xFFFF == p.etype:
                info[0] = info[0] & 0xF | HW_RXD_PTYPE_ETQF | index << HW_RXD_PTYPE_ETQF_SHIFT
                if s.etqs[index] >> 31 and _serves(port, pool, s.etqs[index] >> 16 & 0x7F):
                    return s.etqs[index] >> 16 & 0x7F
                break
    return _filter_queue(port, data, p, pool) if s.syn or s.tuples else -1


cdef void redirect(mdl_port *port, const uint8_t *data, uint32_t n, const Parsed *p, QueueChoice *choice) noexcept nogil:
    """7.1.2: what no filter has taken is the flow director's before it is RSS's. Apart from `choose`, which is fast."""
    cdef uint32_t copy, info = 0
    cdef int queue, pool
    port.director.looked = 0
    for copy in range(choice.n):
        pool = choice.queue[copy] >> port.vt.shift if port.pooled else -1
        if _filters(port, data, p, pool, &info) < 0:
            queue = direct(port, data, n, p, pool, copy)
            if queue >= 0:
                choice.queue[copy] = queue


cdef void choose(mdl_port *port, const uint8_t *data, const Parsed *p, uint64_t pools, QueueChoice *choice) noexcept nogil:
    cdef const mdl_steer *s = &port.steer
    cdef uint32_t kind = 0, value = 0, within, pool
    cdef int queue
    choice.info, choice.hash = p.info, 0
    if s.rss:
        kind = _rss(s, data, p, &value)
        if s.hash_in_descriptor:
            choice.info |= kind
            choice.hash = value
    if not port.pooled:
        queue = _filters(port, data, p, -1, &choice.info)
        choice.queue[0] = queue if queue >= 0 else _hashed_queue(port, p, kind, value) if s.mrqe else 0
        choice.n = 1
        return
    if port.vt.classes:
        within = _traffic_class(port, p)
    else:
        within = s.reta[value & 0x7F] if kind else 0
    choice.n = 0
    while pools:
        pool = mdl_ctz64(pools)
        pools &= pools - 1
        queue = _filters(port, data, p, pool, &choice.info)
        choice.queue[choice.n] = queue if queue >= 0 else pool << port.vt.shift | within & port.vt.spread[pool]
        choice.n += 1
