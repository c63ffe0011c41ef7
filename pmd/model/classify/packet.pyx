# SPDX-License-Identifier: BSD-3-Clause
"""The receive parser: VLAN tags, IPv4, IPv6, TCP, UDP, SCTP; their checksums (datasheet 7.1.6.2, 7.1.11).

SILENT: the packet type has no L4 bit for a fragment, or for an IP packet that is longer than its frame. L4 is not checked if
the IPv4 header is wrong, or behind an IPv6 routing header, whose last address is not the header's.
"""

from libc.stdint cimport uint64_t

from dataplane.machine cimport likely, unlikely
from dataplane.pmd.model.state.bytes cimport mdl_be16, mdl_load16, mdl_load32, mdl_swap16
from dataplane.pmd.model.state.checksum cimport crc32c, mdl_fold, mdl_sum

cdef enum:
    # As a little-endian host loads them.
    RAW_IPV4 = 0x0008
    RAW_IPV6 = 0xDD86
    HOP_BY_HOP = 0
    ROUTING = 43
    FRAGMENT = 44
    OPTIONS = 60


cdef void classify(const mdl_filter *f, const uint8_t *data, uint32_t n, Parsed *p) noexcept nogil:
    cdef uint32_t at = 12
    cdef uint16_t raw
    p.info = p.status = 0
    p.tci = p.tag_at = p.etype = p.l3 = p.l4 = p.end = 0
    p.ip = p.protocol = p.fragment = p.extended = 0
    if unlikely(n < 14):
        return
    raw = mdl_load16(data + 12)
    if unlikely(f.extended_vlan) and raw == f.outer_vet and n >= 18:
        p.status |= HW_RXD_STAT_VEXT
        at = 16
        raw = mdl_load16(data + 16)
    if raw == f.vet and n >= at + 6:
        p.status |= HW_RXD_STAT_VP
        p.tag_at = at
        p.tci = mdl_be16(data + at + 2)
        at += 4
        raw = mdl_load16(data + at)
    p.etype = mdl_swap16(raw)
    p.l3 = at + 2
    if raw == RAW_IPV4:
        _ipv4(data, n, p)
    elif raw == RAW_IPV6:
        _ipv6(data, n, p)


cdef inline void _ipv4(const uint8_t *data, uint32_t n, Parsed *p) noexcept nogil:
    cdef const uint8_t *header = data + p.l3
    cdef uint32_t size, total, l4
    cdef uint64_t pseudo
    if unlikely(n < <uint32_t> p.l3 + 20 or header[0] >> 4 != 4):
        return
    size = (header[0] & 15) * 4
    if unlikely(size < 20 or p.l3 + size > n):
        return
    p.ip, p.protocol = 4, header[9]
    p.info |= HW_RXD_PTYPE_IPV4
    if likely(size == 20):
        pseudo = mdl_sum(header, 20)
    else:
        p.info |= HW_RXD_PTYPE_IPV4_EX
        pseudo = mdl_sum(header, size)
    p.status |= HW_RXD_STAT_IPCS
    if unlikely(mdl_fold(pseudo) != 0xFFFF):
        p.status |= HW_RXD_ERR_IPE
    total = mdl_be16(header + 2)
    if unlikely(total < size or p.l3 + total > n):
        return
    p.end = p.l3 + total
    if unlikely(mdl_load16(header + 6) & 0xFF3F):  # more fragments, or an offset
        p.fragment = 1
        return
    l4 = p.l3 + size
    pseudo = <uint64_t> mdl_load32(header + 12) + mdl_load32(header + 16)
    _transport(data, l4, p, pseudo)


cdef inline void _ipv6(const uint8_t *data, uint32_t n, Parsed *p) noexcept nogil:
    cdef const uint8_t *header = data + p.l3
    cdef uint32_t at = p.l3 + 40, end
    cdef uint8_t following
    cdef bint checkable = True
    if n < at or header[0] >> 4 != 6:
        return
    p.ip = 6
    p.info |= HW_RXD_PTYPE_IPV6
    following = header[6]
    end = at + mdl_be16(header + 4)
    if end > n:
        p.protocol = following
        return
    p.end = end
    while following == HOP_BY_HOP or following == ROUTING or following == OPTIONS or following == FRAGMENT:
        p.info |= HW_RXD_PTYPE_IPV6_EX
        p.extended = 1
        if at + 8 > end:
            p.protocol = following
            return
        if following == FRAGMENT:
            following = data[at]
            if mdl_load16(data + at + 2) & 0xF9FF:
                p.fragment = 1
                p.protocol = following
                return
            at += 8
        else:
            checkable = checkable and following != ROUTING
            following = data[at]
            at += (<uint32_t> data[at + 1] + 1) * 8
        if at > end:
            p.protocol = following
            return
    p.protocol = following
    _transport(data, at, p, mdl_sum(header + 8, 32) if checkable else 0)


cdef inline void _transport(const uint8_t *data, uint32_t l4, Parsed *p, uint64_t pseudo) noexcept nogil:
    """`pseudo`: the sum over both addresses; 0: do not check (the sum over real addresses is never 0)."""
    cdef uint32_t size = p.end - l4, covered
    cdef bint check = pseudo != 0 and not p.status & HW_RXD_ERR_IPE
    if p.protocol == PROTO_UDP:
        if size < 8:
            return
        p.info |= HW_RXD_PTYPE_UDP
        p.l4 = l4
        if not check or mdl_load16(data + l4 + 6) == 0:
            return
        covered = mdl_be16(data + l4 + 4)
        p.status |= HW_RXD_STAT_L4CS | HW_RXD_STAT_UDPCS
        if covered < 8 or covered > size:
            p.status |= HW_RXD_ERR_L4E
            return
    elif p.protocol == PROTO_TCP:
        if size < 20:
            return
        p.info |= HW_RXD_PTYPE_TCP
        p.l4 = l4
        if not check:
            return
        covered = size
        p.status |= HW_RXD_STAT_L4CS
    else:
        _others(data, l4, size, p, check)
        return
    pseudo += mdl_swap16(covered) + (<uint32_t> p.protocol << 8)
    if unlikely(mdl_fold(pseudo + mdl_sum(data + l4, covered)) != 0xFFFF):
        p.status |= HW_RXD_ERR_L4E


cdef void _others(const uint8_t *data, uint32_t l4, uint32_t size, Parsed *p, bint check) noexcept nogil:
    if p.protocol == PROTO_SCTP and size >= 12:
        p.info |= HW_RXD_PTYPE_SCTP
        p.l4 = l4
        if check:
            p.status |= HW_RXD_STAT_L4CS
            if crc32c(data + l4, size, 8) != mdl_load32(data + l4 + 8):
                p.status |= HW_RXD_ERR_L4E
    elif p.protocol == PROTO_ESP:
        p.info |= HW_RXD_PTYPE_ESP
    elif p.protocol == PROTO_AH:
        p.info |= HW_RXD_PTYPE_AH


cdef uint32_t fragment_words(const uint8_t *data, bint payload_sum, Parsed *p) noexcept nogil:
    cdef const uint8_t *header = data + p.l3
    cdef uint32_t sum = 0, size = (header[0] & 15) * 4
    if p.ip != 4:
        return 0
    if p.fragment and payload_sum:
        sum = mdl_fold(mdl_sum(header + size, p.end - p.l3 - size))
        if p.protocol == PROTO_UDP and not mdl_be16(header + 6) & 0x1FFF and size + 8 <= mdl_be16(header + 2):
            if mdl_load16(header + size + 6):
                p.status |= HW_RXD_STAT_UDPV
    return mdl_be16(header + 4) | sum << 16
