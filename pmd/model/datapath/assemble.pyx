# SPDX-License-Identifier: BSD-3-Clause
"""The long way through the transmit side (datasheet 7.2.3, 7.2.4).

A violation of the datasheet is recorded, and then the chip does what silicon plausibly would: an empty buffer adds nothing;
a packet that cannot be understood is fetched and not sent; and the queue continues.
"""

from libc.stdint cimport uint8_t, uint16_t, uint64_t
from libc.string cimport memcpy, memset

from dataplane.limits cimport FCS_BYTES, FRAME_MIN_WITHOUT_FCS_BYTES, VLAN_TAG_BYTES
from dataplane.machine cimport likely
from dataplane.pmd.datasheet.limits cimport (
    FRAME_MAX_WITHOUT_FCS_BYTES,
    TX_PACKET_MIN_WITHOUT_FCS_BYTES,
    TX_SEGMENTS_MAX,
)
from dataplane.pmd.model.datapath.iommu cimport dma_read, translate
from dataplane.pmd.model.datapath.mac_stats cimport note_good
from dataplane.pmd.model.datapath.offload cimport (
    insert_ip_checksum,
    insert_l4_checksum,
    insert_sum,
    tag_frame,
)
from dataplane.pmd.model.datapath.stamps cimport stamp_departure
from dataplane.pmd.model.datapath.tso cimport TSO_PACKET_MAX, headers_of, segment, segmentable
from dataplane.pmd.model.state.bytes cimport mdl_load16, mdl_load32, mdl_load64
from dataplane.pmd.model.state.checksum cimport fcs
from dataplane.pmd.model.state.domain cimport READ, TX_DATA, TX_DESC_FETCH
from dataplane.pmd.model.state.fifo cimport (
    BAD_CRC,
    IP_MADE,
    L4_MADE,
    MARKED,
    STUB,
    mdl_commit,
    mdl_frame,
    mdl_label,
    mdl_lose,
    mdl_reserve,
)
from dataplane.pmd.model.state.port cimport mdl_violate
from dataplane.pmd.model.state.queue cimport mdl_context, mdl_txq
from dataplane.pmd.model.state.violation cimport (
    V_TX_BUFFER,
    V_TX_CONTEXT,
    V_TX_DTYP,
    V_TX_EMPTY,
    V_TX_FCOE,
    V_TX_LONG,
    V_TX_MSS,
    V_TX_NO_EOP,
    V_TX_OFFLOAD,
    V_TX_OVER_MAXFRS,
    V_TX_PAYLEN,
    V_TX_SECURITY,
    V_TX_SEGMENTS,
    V_TX_SHORT,
    V_TX_STAMP,
)

cdef extern from "hw82599.h" nogil:
    const uint32_t HW_TXD_LEN_MASK
    const uint32_t HW_TXD_CSO_MASK
    const uint32_t HW_TXD_CSS_MASK
    const uint32_t HW_TXD_CMD_EOP
    const uint32_t HW_TXD_CMD_IFCS
    const uint32_t HW_TXD_CMD_IC
    const uint32_t HW_TXD_CMD_DEXT
    const uint32_t HW_TXD_CMD_VLE
    const uint32_t HW_TXD_CMD_TSE
    const uint32_t HW_TXD_DTYP_MASK
    const uint32_t HW_TXD_DTYP_CTX
    const uint32_t HW_TXD_DTYP_DATA
    const uint32_t HW_TXD_POPTS_IXSM
    const uint32_t HW_TXD_POPTS_TXSM
    const uint32_t HW_TXD_POPTS_IPSEC
    const uint32_t HW_TXD_MAC_LINKSEC
    const uint32_t HW_TXD_MAC_1588
    const uint32_t HW_TXD_PAYLEN_SHIFT
    const uint32_t HW_TXC_MACLEN_SHIFT

cdef enum:
    BUFFER_MAX = 16384  # of one descriptor


# A packet's descriptors, looked through before any of its data is fetched.
cdef struct TxPacket:
    uint32_t first, count  # descriptors
    uint32_t lower, upper  # of the first
    uint32_t total  # bytes in all buffers
    bint broken  # cannot be sent


cdef bint _fetch(mdl_port *p, mdl_txq *q, uint32_t index, uint32_t at, uint64_t *words) noexcept nogil:
    if likely(q.ring != NULL):
        words[0], words[1] = mdl_load64(q.ring + at * 16), mdl_load64(q.ring + at * 16 + 8)
        return True
    if dma_read(q.domain, <uint8_t *> words, q.base + at * 16, 16, TX_DESC_FETCH, index):
        return True
    q.stalled = 1  # until the queue is enabled again or the map changes
    return False


cdef inline bint _is_context(uint32_t lower) noexcept nogil:
    return lower & HW_TXD_CMD_DEXT and lower & HW_TXD_DTYP_MASK == HW_TXD_DTYP_CTX


cdef void _take_context(mdl_txq *q, uint64_t *words) noexcept nogil:
    cdef mdl_context *c = &q.context[words[1] >> 36 & 1]
    c.ip_len = words[0] & 0x1FF
    c.mac_len = words[0] >> HW_TXC_MACLEN_SHIFT & 0x7F
    c.vlan = words[0] >> 16 & 0xFFFF
    c.ipv4 = words[1] >> 10 & 1
    c.l4_type = words[1] >> 11 & 3
    c.fcoe = words[1] >> 15 & 1
    c.l4_len = words[1] >> 40 & 0xFF
    c.mss = words[1] >> 48


cdef void _legacy_options(TxPacket *k, uint32_t lower, uint32_t upper) noexcept nogil:
    """SILENT about which legacy descriptor of a packet carries its options: whichever has the bit set."""
    if lower & HW_TXD_CMD_IC:
        k.lower = k.lower & ~HW_TXD_CSO_MASK | lower & HW_TXD_CSO_MASK
        k.upper = k.upper & ~HW_TXD_CSS_MASK | upper & HW_TXD_CSS_MASK
    if lower & HW_TXD_CMD_VLE:
        k.upper = k.upper & 0xFFFF | upper & ~<uint32_t> 0xFFFF
    k.lower |= lower & (HW_TXD_CMD_IFCS | HW_TXD_CMD_IC | HW_TXD_CMD_VLE)


cdef bint _survey(mdl_port *p, mdl_txq *q, uint32_t index, uint32_t at, uint32_t tail, TxPacket *k) noexcept nogil:
    """Looks for the packet's end. False: it is not there yet."""
    cdef uint64_t[2] words
    cdef uint32_t lower, n
    while True:
        if at == tail:
            if q.bad_tail != tail:
                q.bad_tail = tail
                mdl_violate(p, V_TX_NO_EOP, index, k.first, tail)
            return False
        if not _fetch(p, q, index, at, words):
            return False
        lower, n = <uint32_t> words[1], words[1] & HW_TXD_LEN_MASK
        if k.count == 0:
            k.lower, k.upper = lower, <uint32_t> (words[1] >> 32)
        elif not lower & HW_TXD_CMD_DEXT:
            _legacy_options(k, lower, <uint32_t> (words[1] >> 32))
        if _is_context(lower):
            mdl_violate(p, V_TX_CONTEXT, index, at, words[1])
            k.broken, n = True, 0
        elif lower & HW_TXD_CMD_DEXT and lower & HW_TXD_DTYP_MASK != HW_TXD_DTYP_DATA:
            mdl_violate(p, V_TX_DTYP, index, at, words[1])
            k.broken = True
        elif (lower ^ k.lower) & HW_TXD_CMD_DEXT:
            mdl_violate(p, V_TX_DTYP, index, at, words[1])
            k.broken = True
        elif n == 0:
            mdl_violate(p, V_TX_EMPTY, index, at, words[1])
        elif n > BUFFER_MAX:
            mdl_violate(p, V_TX_BUFFER, index, at, n)
        k.total += n
        k.count += 1
        if k.count == TX_SEGMENTS_MAX + 1:
            mdl_violate(p, V_TX_SEGMENTS, index, at, k.count)
        if lower & HW_TXD_CMD_EOP:
            return True
        at = at + 1 if at + 1 < q.n else 0


cdef bint _gather(
    mdl_port *p, mdl_txq *q, uint32_t index, const TxPacket *k, uint8_t *to, uint32_t headers, uint32_t start, uint32_t end
) noexcept nogil:
    """Copies a packet's first `headers` bytes, and those from `start` to `end`, to their places at `to`.

    False after a fault, or when a driver has changed a descriptor since it was looked at.
    """
    cdef uint64_t[2] words
    cdef uint32_t n, skip, done = 0, at = k.first
    for _ in range(k.count):
        if not _fetch(p, q, index, at, words):
            return False
        n = words[1] & HW_TXD_LEN_MASK
        if n > k.total - done:
            return False
        if done < headers and not _copy(p, q, index, to + done, words[0], min(n, headers - done)):
            return False
        if done + n > start and done < end:
            skip = start - done if start > done else 0
            if not _copy(p, q, index, to + done + skip, words[0] + skip, min(n, end - done) - skip):
                return False
        done += n
        at = at + 1 if at + 1 < q.n else 0
    return done == k.total  # or there would be bytes of another frame in it


cdef inline bint _copy(mdl_port *p, mdl_txq *q, uint32_t index, uint8_t *to, uint64_t iova, uint32_t n) noexcept nogil:
    cdef uint8_t *source = translate(q.domain, iova, n, READ)
    if likely(source != NULL):
        memcpy(to, source, n)
        return True
    return n == 0 or dma_read(q.domain, to, iova, n, TX_DATA, index)


cdef void _offload(mdl_port *p, mdl_txq *q, uint32_t index, const TxPacket *k, uint8_t *data, uint32_t n) noexcept nogil:
    """Checksums, before a tag moves the headers."""
    cdef const mdl_context *c
    cdef bint right = True
    if not k.lower & HW_TXD_CMD_DEXT:
        if k.lower & HW_TXD_CMD_IC:
            right = insert_sum(data, n, k.upper >> 8 & 0xFF, k.lower >> 16 & 0xFF)
    else:
        c = &q.context[k.upper >> 4 & 1]
        if k.upper & HW_TXD_POPTS_TXSM:
            right = insert_l4_checksum(data, n, c)
        if k.upper & HW_TXD_POPTS_IXSM:
            right = insert_ip_checksum(data, n, c) and right
    if not right:
        mdl_violate(p, V_TX_OFFLOAD, index, k.first, k.upper)


cdef void _note_absent(mdl_port *p, uint32_t index, const TxPacket *k) noexcept nogil:
    """What the packet asks for and the chip does not do: it leaves as it is. A context alone asks for nothing."""
    cdef const mdl_context *c = &p.txq[index].context[k.upper >> 4 & 1]
    if k.upper & HW_TXD_POPTS_IPSEC or k.lower & HW_TXD_MAC_LINKSEC:
        mdl_violate(p, V_TX_SECURITY, index, k.first, k.upper)
    if c.fcoe and (k.upper & HW_TXD_POPTS_TXSM or k.lower & HW_TXD_CMD_TSE):
        mdl_violate(p, V_TX_FCOE, index, k.first, k.upper)
    # SILENT about VFs: the clock and its stamps are the PF's registers (9.4 has none of them), and the stamping
    # unit does not know a frame's owner. So a VF's frame is stamped, and the PF never gets its own stamp.
    if k.lower & HW_TXD_MAC_1588 and p.pool_shift and p.vf_pools >> (index >> p.pool_shift) & 1:
        mdl_violate(p, V_TX_STAMP, index, k.first, k.lower)


cdef bint _sendable(mdl_port *p, uint32_t index, const TxPacket *k) noexcept nogil:
    """Notes what is wrong with the packet as a whole. False: it cannot be sent at all."""
    if k.broken or k.total == 0:
        return False
    if k.lower & HW_TXD_CMD_DEXT:
        _note_absent(p, index, k)
    if k.lower & HW_TXD_CMD_DEXT and k.lower & HW_TXD_CMD_TSE:
        if k.total > TSO_PACKET_MAX:
            mdl_violate(p, V_TX_LONG, index, k.first, k.total)
        return k.total <= TSO_PACKET_MAX
    if k.lower & HW_TXD_CMD_DEXT and k.upper >> HW_TXD_PAYLEN_SHIFT != k.total:
        mdl_violate(p, V_TX_PAYLEN, index, k.first, k.upper)
    if k.total > FRAME_MAX_WITHOUT_FCS_BYTES:
        mdl_violate(p, V_TX_LONG, index, k.first, k.total)
        return False
    if k.total < TX_PACKET_MIN_WITHOUT_FCS_BYTES:
        mdl_violate(p, V_TX_SHORT, index, k.first, k.total)
    return True


cdef inline bint _marked(const TxPacket *k) noexcept nogil:
    """Whether it is to be stamped (7.2.3.2.4, MAC). SILENT about packets that are cut: none of their segments is."""
    return k.lower & HW_TXD_CMD_DEXT and k.lower & HW_TXD_MAC_1588


cdef uint32_t _made(const TxPacket *k) noexcept nogil:
    """Which checksums the chip makes, for receivers behind the switch."""
    if not k.lower & HW_TXD_CMD_DEXT:
        return 0
    return (IP_MADE if k.upper & HW_TXD_POPTS_IXSM else 0) | (L4_MADE if k.upper & HW_TXD_POPTS_TXSM else 0)


cdef void _lose(mdl_port *p, mdl_txq *q, uint32_t index, const TxPacket *k, mdl_fifo *out, Tally *tally) noexcept nogil:
    """It left, and the receiver had no room: only its first bytes are fetched, for the counters of both sides."""
    cdef uint8_t[STUB] stub
    cdef uint64_t[2] words
    cdef uint32_t size = k.total if k.total > FRAME_MIN_WITHOUT_FCS_BYTES else FRAME_MIN_WITHOUT_FCS_BYTES
    memset(stub, 0, sizeof(stub))
    if _fetch(p, q, index, k.first, words):
        dma_read(q.domain, stub, words[0], min(words[1] & HW_TXD_LEN_MASK, STUB), TX_DATA, index)
    mdl_lose(out, stub, size, 0)
    if _marked(k):
        stamp_departure(p, NULL)
    note_good(tally, stub, size + FCS_BYTES)


cdef int _segment(
    mdl_port *p, mdl_txq *q, uint32_t index, const TxPacket *k, uint32_t most, mdl_fifo *out, Tally *tally
) noexcept nogil:
    """Some segments of a packet that is to be cut: only what they hold is fetched now.

    SILENT about turns within such a packet: after as many frames as another queue may send in one turn, it waits for the next.
    """
    cdef const mdl_context *c = &q.context[k.upper >> 4 & 1]
    cdef uint32_t headers = headers_of(c), start, end
    if segmentable(c, k.total, k.upper):
        start = headers + q.segments_sent * c.mss
        end = min(k.total, start + most * c.mss)
        if _gather(p, q, index, k, p.scratch, headers, start, end):
            if not segment(p, q, index, p.scratch, k.total, end, k.lower, k.upper, out, tally):
                return NO_ROOM
            if end < k.total and q.segments_sent < k.total:
                return AGAIN
    else:
        mdl_violate(p, V_TX_MSS, index, q.head, headers | <uint64_t> c.mss << 32)
    q.segments_sent = 0
    return k.count


cdef int assemble(
    mdl_port *p, uint32_t index, uint32_t at, uint32_t tail, uint32_t most, mdl_fifo *out, Tally *tally
) noexcept nogil:
    cdef mdl_txq *q = &p.txq[index]
    cdef TxPacket k
    cdef uint64_t[2] words
    cdef mdl_frame *frame
    cdef uint32_t n, flags
    cdef uint16_t tci
    if not _fetch(p, q, index, at, words):
        return NOT_YET
    if _is_context(<uint32_t> words[1]):
        _take_context(q, words)
        return 1
    memset(&k, 0, sizeof(k))
    k.first = at
    if not _survey(p, q, index, at, tail, &k):
        return NOT_YET
    if not _sendable(p, index, &k):
        return k.count
    if k.lower & HW_TXD_CMD_DEXT and k.lower & HW_TXD_CMD_TSE:
        return _segment(p, q, index, &k, most, out, tally)
    frame = mdl_reserve(out, max(k.total, <uint32_t> FRAME_MIN_WITHOUT_FCS_BYTES) + VLAN_TAG_BYTES)
    if frame == NULL:
        if p.waits:
            return NO_ROOM
        _lose(p, q, index, &k, out, tally)
        return k.count
    if not _gather(p, q, index, &k, frame.data, 0, 0, k.total):
        return k.count  # the fault is recorded, and nothing leaves
    n = k.total
    flags = _made(&k)
    _offload(p, q, index, &k, frame.data, n)
    tci = q.context[k.upper >> 4 & 1].vlan if k.lower & HW_TXD_CMD_DEXT else k.upper >> 16
    if n >= 14 and not tag_frame(p, q, k.lower & HW_TXD_CMD_VLE != 0, tci, frame.data, &n):
        return k.count
    if k.lower & HW_TXD_CMD_IFCS and p.tx_crc:
        if p.tx_pad and n < FRAME_MIN_WITHOUT_FCS_BYTES:
            memset(frame.data + n, 0, FRAME_MIN_WITHOUT_FCS_BYTES - n)
            n = FRAME_MIN_WITHOUT_FCS_BYTES
    elif n < TX_PACKET_MIN_WITHOUT_FCS_BYTES + FCS_BYTES:
        mdl_violate(p, V_TX_SHORT, index, k.first, n)
        return k.count
    else:
        # Software brought the FCS along, right or wrong.
        n -= FCS_BYTES
        if fcs(frame.data, n) != mdl_load32(frame.data + n):
            flags |= BAD_CRC
    if n + FCS_BYTES > p.tx_max + (VLAN_TAG_BYTES if mdl_load16(frame.data + 12) == p.tx_vlan_type else 0):
        mdl_violate(p, V_TX_OVER_MAXFRS, index, k.first, n + FCS_BYTES)
    if not p.pooled:
        flags &= BAD_CRC
    elif _marked(&k):
        flags |= MARKED  # the switch decides whether it leaves, and when
    mdl_label(frame, n, flags, q.sender, p.now_ns)
    if not p.pooled and _marked(&k):
        stamp_departure(p, frame)
    note_good(tally, frame.data, n + FCS_BYTES)
    mdl_commit(out, n)
    return k.count
