# SPDX-License-Identifier: BSD-3-Clause
"""The flow director: its registers, its table, and what a packet finds there (datasheet 7.1.2.7, 8.2.3.21).

Software computes the bucket of a filter that it adds; the chip computes the bucket of a packet with the same hash. If they
differ, no packet finds the filter. The hashes are linear, so they are computed from a table for each byte of the input.

SILENT: fragments have no L4 header, and match as packets of another protocol; SCTP's ports are ignored, as DPDK says;
CFI is not compared; a filter selects its queue in any pool.
CONFLICT: Linux leaves a masked L4 type out of the hash, DPDK does not, and both work on silicon, they say: with FDIRM.L4P
both buckets are searched.
"""

from libc.stdint cimport uint16_t, uint64_t
from libc.string cimport memset

from dataplane.pmd.datasheet.word cimport *
from dataplane.pmd.model.classify.packet cimport HW_RXD_STAT_VP, PROTO_SCTP, PROTO_TCP, PROTO_UDP
from dataplane.pmd.model.state.bytes cimport (
    mdl_be16,
    mdl_be32,
    mdl_load16,
    mdl_load32,
    mdl_swap16,
    mdl_swap32,
)
from dataplane.pmd.model.state.director cimport DIRECTED, NO_FILTER, mdl_directed, mdl_director, mdl_found


cdef extern from "hw82599.h" nogil:
    enum:
        HW_RXD_STAT_FLM
    const uint32_t HW_RXD_ERR_FDIR_LEN
    const uint32_t HW_RXD_ERR_FDIR_DROP
    const uint32_t HW_RXD_ERR_FDIR_COLL


cdef enum:
    # FDIRCTRL
    INIT_DONE = 1 << 3
    PERFECT = 1 << 4
    REPORT = 1 << 5
    REPORT_ALWAYS = 1 << 7
    # FDIRCMD
    ADD = 1
    REMOVE = 2
    QUERY = 3
    VALID = 1 << 2
    UPDATE = 1 << 3
    CLEAR_HEADS = 1 << 8
    DROP = 1 << 9
    COLLISION = 1 << 12
    QUEUE_EN = 1 << 15
    TOLD = 0x3F7F92E4  # what a query shows: VALID, type, DROP, COLLISION, QUEUE_EN, queue, pool
    # FDIRM: a 1 ignores
    ANY_VLAN = 1 << 0
    ANY_PRIORITY = 1 << 1
    ANY_POOL = 1 << 2
    ANY_L4 = 1 << 3
    ANY_FLEX = 1 << 4
    ANY_DST6 = 1 << 5
    # FDIRCMD.L4TYPE and IPV6, as the hash has them
    KIND_UDP = 1
    KIND_TCP = 2
    KIND_SCTP = 3
    KIND_IPV6 = 4
    KIND_L4 = 3
    VALID_BUCKET = 1 << 15  # FDIRHASH


# What of a packet is compared: masked.
cdef struct Key:
    uint32_t src
    uint32_t dst
    uint32_t ports
    uint32_t vlan
    uint32_t flex
    uint32_t kind
    uint32_t pool
    uint32_t addresses  # both folded into a dword, as the hash has them


# ---- the hash (7.1.2.7.2) -----------------------------------------------------------------------------------------


cdef uint16_t _hash_slowly(uint32_t common, uint32_t flow, uint32_t key) noexcept nogil:
    """Bit n of the 350 of the input stands in the result shifted by each bit of the key; most of them fall together."""
    cdef uint32_t high = common ^ flow ^ flow >> 16, low = common >> 16 | common << 16, result = 0, bit
    if key & 1:
        result ^= low  # before the first dword comes in: its lowest bit does not meet this bit of the key
    low ^= flow ^ flow << 16
    for bit in range(16):
        if bit and key >> bit & 1:
            result ^= low >> bit
        if key >> (16 + bit) & 1:
            result ^= high >> bit
    return <uint16_t> result


cdef void _make_sums(uint16_t (*sums)[256], uint32_t key) noexcept nogil:
    cdef uint32_t at, value
    for at in range(4):
        for value in range(256):
            sums[at][value] = _hash_slowly(value << 8 * at, 0, key)
            sums[4 + at][value] = _hash_slowly(0, value << 8 * at, key)


cdef inline uint32_t _hash(const uint16_t (*sums)[256], uint32_t common, uint32_t flow) noexcept nogil:
    return (
        sums[0][common & 0xFF] ^ sums[1][common >> 8 & 0xFF] ^ sums[2][common >> 16 & 0xFF] ^ sums[3][common >> 24]
        ^ sums[4][flow & 0xFF] ^ sums[5][flow >> 8 & 0xFF] ^ sums[6][flow >> 16 & 0xFF] ^ sums[7][flow >> 24]
    )


cdef inline uint32_t _common(const Key *k) noexcept nogil:
    """Everything but the first dword, folded: in network order."""
    return k.addresses ^ (k.ports << 16 | k.ports >> 16) ^ <uint32_t> mdl_swap16(k.flex) << 16


cdef inline uint32_t _flow(const Key *k, uint32_t kind) noexcept nogil:
    """The first dword: pool, type of the flow, VLAN."""
    return k.pool << 24 | kind << 16 | k.vlan


# ---- registers ----------------------------------------------------------------------------------------------------


cdef inline uint32_t _reversed(uint32_t word) noexcept nogil:
    """8.2.3.21: masks of ports are written with the bits of each half in reverse."""
    word = (word & 0x55555555) << 1 | (word & <uint32_t> 0xAAAAAAAA) >> 1
    word = (word & 0x33333333) << 2 | (word & <uint32_t> 0xCCCCCCCC) >> 2
    word = (word & 0x0F0F0F0F) << 4 | (word & <uint32_t> 0xF0F0F0F0) >> 4
    return (word & 0x00FF00FF) << 8 | (word & <uint32_t> 0xFF00FF00) >> 8


cdef void _decode_masks(mdl_port *p) noexcept nogil:
    cdef mdl_director *d = p.director
    cdef const uint32_t *r = p.regs
    cdef uint32_t ignored = r[W_FDIRM]
    d.any_l4, d.any_pool, d.any_dst6 = ignored >> 3 & 1, ignored >> 2 & 1, ignored >> 5 & 1
    d.vlan_mask = (0 if ignored & ANY_VLAN else 0x0FFF) | (0 if ignored & ANY_PRIORITY else 0xE000)
    d.flex_mask = 0 if ignored & ANY_FLEX else 0xFFFF
    d.src_mask, d.dst_mask = ~r[W_FDIRSIP4M], ~r[W_FDIRDIP4M]
    d.tcp_mask, d.udp_mask = _reversed(~r[W_FDIRTCPM]), _reversed(~r[W_FDIRUDPM])
    d.src6, d.dst6 = ~r[W_FDIRIP6M] & 0xFFFF, ~r[W_FDIRIP6M] >> 16
    if d.bucket_key != r[W_FDIRHKEY]:
        d.bucket_key = r[W_FDIRHKEY]
        _make_sums(d.bucket_sum, d.bucket_key)
    if d.signature_key != r[W_FDIRSKEY]:
        d.signature_key = r[W_FDIRSKEY]
        _make_sums(d.signature_sum, d.signature_key)


cdef void _empty(mdl_director *d) noexcept nogil:
    cdef uint32_t n
    memset(d.head, 0xFF, sizeof(uint16_t) * DIRECTED)
    d.used = d.collisions = 0
    for n in range(d.capacity):
        d.filter[n].next = n + 1 if n + 1u < d.capacity else NO_FILTER
    d.free_at = 0 if d.capacity else NO_FILTER


cdef void _control(mdl_port *p) noexcept nogil:
    """8.2.3.21: PBALLOC gives it memory. Each write restarts the initialisation; with INIT_DONE the table is empty and in use."""
    cdef mdl_director *d = p.director
    cdef uint32_t control = p.regs[W_FDIRCTRL], memory = control & 3
    d.perfect, d.report, d.report_always = control >> 4 & 1, control >> 5 & 1, control >> 7 & 1
    d.drop_queue, d.flex_at = control >> 8 & 0x7F, (control >> 16 & 0x1F) * 2
    d.longest = (control >> 24 & 0xF) * 2
    d.threshold = (control >> 28) * 16
    d.ready = memory and control & INIT_DONE
    # 7.1.2.7.3: 2 K filters for each 64 KB, or 8 K signatures; two of the table's places are not for filters.
    d.capacity = ((1024 if d.perfect else 4096) << memory) - 2 if memory else 0
    d.bucket_mask = ((1024 if d.perfect else 4096) << memory) - 1 if memory else 0
    d.used = d.collisions = 0
    if d.ready:
        _empty(d)
    p.steer.directs = d.ready
    _tell_free(p)


cdef inline void _tell_free(mdl_port *p) noexcept nogil:
    cdef mdl_director *d = p.director
    p.regs[W_FDIRFREE] = <uint32_t> (d.capacity - d.used if d.ready else 0) | <uint32_t> d.collisions << 16


cdef void director_reset(mdl_port *p) noexcept nogil:
    _control(p)
    _decode_masks(p)


cdef uint32_t director_memory(const mdl_port *p) noexcept nogil:
    cdef uint32_t memory = p.regs[W_FDIRCTRL] & 3
    return 32 << memory if memory else 0


cdef bint director_written(mdl_port *p, uint32_t word) noexcept nogil:
    if word == W_FDIRCTRL:
        _control(p)
    elif word == W_FDIRCMD:
        return _command(p)
    elif word in (
        W_FDIRM, W_FDIRSIP4M, W_FDIRDIP4M, W_FDIRTCPM, W_FDIRUDPM, W_FDIRIP6M, W_FDIRHKEY, W_FDIRSKEY
    ):
        _decode_masks(p)
    return False


# ---- commands (7.1.2.7.5 to 7.1.2.7.8) ----------------------------------------------------------------------------


cdef bint _command(mdl_port *p) noexcept nogil:
    """CMD says what to do; the result stands in the registers. CMD falls when the controller lets it."""
    cdef mdl_director *d = p.director
    cdef uint32_t *r = p.regs
    cdef uint32_t command = r[W_FDIRCMD]
    cdef mdl_directed wanted
    cdef uint16_t at
    if command & CLEAR_HEADS:
        _empty(d)
        _tell_free(p)
    if not command & 3 or not d.ready:
        return False
    r[W_FDIRCMD] = command & ~<uint32_t> VALID
    wanted.bucket = r[W_FDIRHASH] & d.bucket_mask
    wanted.id = r[W_FDIRHASH] >> 16 & 0x7FFF
    if command & 3 == ADD:
        return _add(p, &wanted, command)
    at = d.head[wanted.bucket]
    while at != NO_FILTER and d.filter[at].id != wanted.id:
        at = d.filter[at].next
    if command & 3 == REMOVE:
        _remove(p, at)
    else:
        _show(p, at)
    return False


cdef bint _add(mdl_port *p, mdl_directed *wanted, uint32_t command) noexcept nogil:
    cdef mdl_director *d = p.director
    cdef uint32_t *r = p.regs
    cdef mdl_directed *f
    cdef uint16_t at = d.head[wanted.bucket]
    cdef uint32_t length = 1
    wanted.kind, wanted.pool = command >> 5 & 7, command >> 24 & 0x3F
    wanted.queue, wanted.queued, wanted.drop = command >> 16 & 0x7F, command >> 15 & 1, command >> 9 & 1
    wanted.collides = 0
    _take_fields(p, wanted)
    while at != NO_FILTER:
        f = &d.filter[at]
        if _same(d, f, wanted):
            if command & UPDATE:
                f.queue, f.queued, f.drop, f.id = wanted.queue, wanted.queued, wanted.drop, wanted.id
            elif not f.collides:
                f.collides = 1
                d.collisions += 1
                _tell_free(p)
            return False
        at = f.next
        length += 1
    if d.free_at == NO_FILTER:
        _count_low(r, W_FDIRFSTAT, 0, 0xFF)
        return False
    at = d.free_at
    f = &d.filter[at]
    d.free_at = f.next
    f[0] = wanted[0]
    # SILENT about where in a bucket a new filter goes: to the end, so that of two that match the older one wins.
    f.next = NO_FILTER
    _last(d, wanted.bucket)[0] = at
    d.used += 1
    _count_low(r, W_FDIRUSTAT, 0, 0xFFFF)
    if length - 1 >= r[W_FDIRLEN] & 0x3F:
        r[W_FDIRLEN] = min(length - 1, 0x3Fu) | <uint32_t> wanted.bucket << 16
    _tell_free(p)
    return <uint32_t> (d.capacity - d.used) < d.threshold


cdef uint16_t *_last(mdl_director *d, uint16_t bucket) noexcept nogil:
    """Where the number of the filter behind a bucket's last stands."""
    cdef uint16_t *place = &d.head[bucket]
    while place[0] != NO_FILTER:
        place = &d.filter[place[0]].next
    return place


cdef void _take_fields(mdl_port *p, mdl_directed *f) noexcept nogil:
    """As the registers have them, without what the masks ignore."""
    cdef mdl_director *d = p.director
    cdef const uint32_t *r = p.regs
    if not d.perfect:
        f.src = f.dst = f.ports = 0
        f.vlan = f.flex = 0
        return
    f.src, f.dst = r[W_FDIRIPSA] & d.src_mask, r[W_FDIRIPDA] & d.dst_mask
    f.ports = r[W_FDIRPORT] & _port_mask(d, f.kind)
    f.vlan, f.flex = r[W_FDIRVLAN] & d.vlan_mask, r[W_FDIRVLAN] >> 16 & d.flex_mask
    if d.any_l4:
        f.kind &= KIND_IPV6
    if d.any_pool:
        f.pool = 0


cdef inline uint32_t _port_mask(const mdl_director *d, uint32_t kind) noexcept nogil:
    kind &= KIND_L4
    return d.tcp_mask if kind == KIND_TCP else d.udp_mask if kind == KIND_UDP else 0


cdef bint _same(const mdl_director *d, const mdl_directed *a, const mdl_directed *b) noexcept nogil:
    """SILENT about what makes two filters one: what they match; for signatures that is the signature."""
    if not d.perfect:
        return a.id == b.id
    return (
        a.src == b.src and a.dst == b.dst and a.ports == b.ports and a.vlan == b.vlan and a.flex == b.flex
        and a.kind == b.kind and a.pool == b.pool
    )


cdef void _remove(mdl_port *p, uint16_t at) noexcept nogil:
    cdef mdl_director *d = p.director
    cdef uint16_t *place
    if at == NO_FILTER:
        _count_low(p.regs, W_FDIRFSTAT, 8, 0xFF)
        return
    place = &d.head[d.filter[at].bucket]
    while place[0] != at:
        place = &d.filter[place[0]].next
    place[0] = d.filter[at].next
    d.collisions -= d.filter[at].collides
    d.filter[at].next, d.free_at = d.free_at, at
    d.used -= 1
    p.regs[W_FDIRCMD] |= VALID
    _count_low(p.regs, W_FDIRUSTAT, 16, 0xFFFF)
    _tell_free(p)


cdef void _show(mdl_port *p, uint16_t at) noexcept nogil:
    """SILENT about what a query shows beside VALID: the filter, in the registers that it was added by."""
    cdef mdl_director *d = p.director
    cdef uint32_t *r = p.regs
    cdef const mdl_directed *f
    if at == NO_FILTER:
        r[W_FDIRHASH] &= ~<uint32_t> VALID_BUCKET
        return
    f = &d.filter[at]
    r[W_FDIRHASH] |= VALID_BUCKET
    r[W_FDIRCMD] = r[W_FDIRCMD] & ~<uint32_t> TOLD | VALID | <uint32_t> f.kind << 5 | <uint32_t> f.drop << 9
    r[W_FDIRCMD] |= (
        <uint32_t> f.collides << 12 | <uint32_t> f.queued << 15 | <uint32_t> f.queue << 16 | <uint32_t> f.pool << 24
    )
    if d.perfect:
        r[W_FDIRIPSA], r[W_FDIRIPDA], r[W_FDIRPORT] = f.src, f.dst, f.ports
        r[W_FDIRVLAN] = f.vlan | <uint32_t> f.flex << 16


cdef void _count_low(uint32_t *r, uint32_t word, uint32_t shift, uint32_t most) noexcept nogil:
    """One more in a counter that shares its register; it sticks at its maximum."""
    if r[word] >> shift & most < most:
        r[word] += <uint32_t> 1 << shift


# ---- packets ------------------------------------------------------------------------------------------------------


cdef inline uint32_t _folded(const uint8_t *address, uint32_t mask) noexcept nogil:
    """An IPv6 address as a dword in network order. SILENT about FDIRIP6M: bit n is the n-th byte on the wire."""
    cdef uint8_t[16] kept
    cdef uint32_t n
    for n in range(16):
        kept[n] = address[n] if mask >> n & 1 else 0
    return mdl_be32(kept) ^ mdl_be32(&kept[4]) ^ mdl_be32(&kept[8]) ^ mdl_be32(&kept[12])


cdef bint _read_key(
    const mdl_director *d, const uint8_t *data, uint32_t n, const Parsed *parsed, int pool, Key *k
) noexcept nogil:
    """False: no packet for the flow director. Perfect filters are for IPv4 alone."""
    if parsed.ip == 4:
        k.src = mdl_load32(data + parsed.l3 + 12) & d.src_mask
        k.dst = mdl_load32(data + parsed.l3 + 16) & d.dst_mask
        k.addresses, k.kind = mdl_swap32(k.src ^ k.dst), 0
    elif parsed.ip == 6 and not d.perfect:
        k.src = k.dst = 0
        k.addresses, k.kind = _folded(data + parsed.l3 + 8, d.src6), KIND_IPV6
        if not d.any_dst6:
            k.addresses ^= _folded(data + parsed.l3 + 24, d.dst6)
    else:
        return False
    if parsed.l4:
        if parsed.protocol == PROTO_TCP:
            k.kind |= KIND_TCP
        elif parsed.protocol == PROTO_UDP:
            k.kind |= KIND_UDP
        elif parsed.protocol == PROTO_SCTP:
            k.kind |= KIND_SCTP
    k.ports = _port_mask(d, k.kind)
    if k.ports:
        k.ports &= mdl_be16(data + parsed.l4) | <uint32_t> mdl_be16(data + parsed.l4 + 2) << 16
    k.vlan = parsed.tci & d.vlan_mask if parsed.status & HW_RXD_STAT_VP else 0
    k.flex = mdl_load16(data + d.flex_at) & d.flex_mask if d.flex_mask and d.flex_at + 2u <= n else 0
    k.pool = 0 if d.any_pool or pool < 0 else pool
    return True


cdef inline uint16_t _find(const mdl_director *d, uint32_t bucket, const Key *k, uint32_t id, uint32_t *depth) noexcept nogil:
    """The first filter of the bucket that matches. depth: how many were looked at."""
    cdef uint16_t at = d.head[bucket]
    cdef uint32_t kind = k.kind & KIND_IPV6 if d.any_l4 else k.kind
    cdef const mdl_directed *f
    depth[0] = 0
    while at != NO_FILTER:
        f = &d.filter[at]
        depth[0] += 1
        if d.perfect:
            if (
                f.src == k.src and f.dst == k.dst and f.ports == k.ports and f.vlan == k.vlan and f.flex == k.flex
                and f.kind == kind and f.pool == k.pool
            ):
                return at
        elif f.id == id:
            return at
        at = f.next
    return NO_FILTER


cdef int direct(mdl_port *p, const uint8_t *data, uint32_t n, const Parsed *parsed, int pool, uint32_t copy) noexcept nogil:
    cdef mdl_director *d = p.director
    cdef mdl_found *found = &d.found[copy]
    cdef const mdl_directed *f
    cdef Key k
    cdef uint32_t common, kind, bucket = 0, signature = 0, depth = 0
    cdef uint16_t at = NO_FILTER
    found.status = found.report = found.reports = 0
    if not _read_key(d, data, n, parsed, pool, &k):
        return -1
    common = _common(&k)
    kind = k.kind & KIND_IPV6 if d.any_l4 else k.kind
    while True:
        bucket = _hash(d.bucket_sum, common, _flow(&k, kind)) & d.bucket_mask
        signature = 0 if d.perfect else _hash(d.signature_sum, common, _flow(&k, kind)) & 0x7FFF
        at = _find(d, bucket, &k, signature, &depth)
        if at != NO_FILTER or kind == k.kind:
            break
        kind = k.kind
    d.looked |= <uint64_t> 1 << copy
    if at == NO_FILTER:
        # 8.2.3.21: REPORT_STATUS_ALWAYS shows the hashes of packets that found nothing, too.
        found.reports = d.report_always
        found.report = signature | bucket << 16
        return -1
    f = &d.filter[at]
    found.reports = d.report or d.report_always
    found.report = f.id | bucket << 16
    found.status = HW_RXD_STAT_FLM
    if f.collides:
        found.status |= HW_RXD_ERR_FDIR_COLL
    if d.longest and depth > d.longest:
        found.status |= HW_RXD_ERR_FDIR_LEN
    if f.drop:
        found.status |= HW_RXD_ERR_FDIR_DROP
        return d.drop_queue
    return f.queue if f.queued else -1
