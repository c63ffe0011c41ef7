# SPDX-License-Identifier: BSD-3-Clause
"""Which pools a frame goes to: from the wire (datasheet 7.10.3.3) and from a pool (7.10.3.4); and whether it may be sent.

SILENT about a rate of copies: replication to many pools takes no longer than to one.
"""

from libc.string cimport memset

from dataplane.pmd.datasheet.word cimport *
from dataplane.pmd.model.classify.filter cimport UNTAGGED, hashed, tag_of
from dataplane.pmd.model.state.bytes cimport mdl_load64
from dataplane.pmd.model.state.filter cimport ADDRESS, BROADCAST, mdl_address, mdl_find
from dataplane.pmd.model.state.pools cimport MIRRORS, POOLS, VLANS, VLAN_SLOTS, mdl_mirror, mdl_pools
from dataplane.pmd.model.state.queue cimport QUEUES

cdef enum:
    VT_ENA = 1 << 0
    DIS_DEF_POOL = 1 << 29
    RPL_EN = 1 << 30
    LBE = 1 << 0
    # VMOLR
    AUPE = 1 << 24
    ROMPE = 1 << 25
    ROPE = 1 << 26
    BAM = 1 << 27
    MPE = 1 << 28
    # MRCTL
    VPME = 1 << 0
    UPME = 1 << 1
    DPME = 1 << 2
    VLME = 1 << 3
    # MRQC.MRQE
    MRQE_64POOLS = 8
    MRQE_32POOLS_RSS = 0xA
    MRQE_64POOLS_RSS = 0xB
    MRQE_16POOLS_8TC = 0xC
    MRQE_32POOLS_4TC = 0xD
    # MTQC
    MTQC_64POOLS = 6
    MTQC_32POOLS = 0xA
    MTQC_32POOLS_4TC = 0xB
    MTQC_16POOLS_8TC = 0xF
    ETQF_POOL = 1 << 26

cdef extern from *:
    """
    #define ONE 1ull
    """
    const uint64_t ONE


# ---- registers ---------------------------------------------------------------------------------------------------


cdef inline uint64_t _pair(const uint32_t *r, uint32_t word) noexcept nogil:
    return r[word] | <uint64_t> r[word + 1] << 32


cdef uint32_t _rx_layout(uint32_t mrqe) noexcept nogil:
    """How many bits of a queue's number are within its pool; 0: no pools (8.2.3.7.12)."""
    if mrqe == MRQE_16POOLS_8TC:
        return 3
    if mrqe == MRQE_32POOLS_RSS or mrqe == MRQE_32POOLS_4TC:
        return 2
    return 1 if mrqe == MRQE_64POOLS or mrqe == MRQE_64POOLS_RSS else 0


cdef uint32_t _tx_layout(uint32_t mtqc) noexcept nogil:
    """The same of Tx queues (8.2.3.9.15)."""
    if mtqc == MTQC_16POOLS_8TC:
        return 3
    if mtqc == MTQC_32POOLS or mtqc == MTQC_32POOLS_4TC:
        return 2
    return 1 if mtqc == MTQC_64POOLS else 0


cdef void _lay_out(mdl_port *p, uint32_t mrqe, uint32_t mtqc) noexcept nogil:
    """7.10.2: VT_CTL turns pools on, MRQC and MTQC say which queues they have. GCR_EXT only says which of them are VFs'.

    SILENT about MRQE or MTQC without pools while VT_CTL.VT_ENA is 1: taken as GCR_EXT has it, else as the other side.
    """
    cdef mdl_pools *v = &p.vt
    cdef uint32_t rx = _rx_layout(mrqe), tx = _tx_layout(mtqc), either = p.pool_shift
    if not either:
        either = rx if rx else tx
    v.shift, v.tx_shift = rx if rx else either, tx if tx else either
    p.pooled = p.regs[W_VT_CTL] & VT_ENA and v.shift


cdef void decode_pools(mdl_port *p) noexcept nogil:
    cdef const uint32_t *r = p.regs
    cdef mdl_pools *v = &p.vt
    cdef uint32_t control = r[W_VT_CTL], mrqe = r[W_MRQC] & 0xF, n, word
    _lay_out(p, mrqe, r[W_MTQC] & 0xF)
    v.replicate = (control & RPL_EN) != 0
    v.fallback = 0 if control & DIS_DEF_POOL else ONE << (control >> 7 & 63)
    v.switching = r[W_PFDTXGSWC] & LBE
    v.classes = mrqe == MRQE_16POOLS_8TC or mrqe == MRQE_32POOLS_4TC
    v.receive, v.echo, v.count_spoofed = _pair(r, W_VFRE), _pair(r, W_VMTXSW), _pair(r, W_VMECM)
    if v.shift > 1:  # only the first pools have queues
        v.receive &= (ONE << (QUEUES >> v.shift)) - 1
    v.untagged = v.broadcast = v.all_multicast = v.hash_multicast = v.hash_unicast = 0
    for n in range(POOLS):
        word = r[W_VMOLR + n]
        v.untagged |= <uint64_t> (word & AUPE != 0) << n
        v.hash_multicast |= <uint64_t> (word & ROMPE != 0) << n
        v.hash_unicast |= <uint64_t> (word & ROPE != 0) << n
        v.broadcast |= <uint64_t> (word & BAM != 0) << n
        v.all_multicast |= <uint64_t> (word & MPE != 0) << n
        v.spread[n] = (1 << v.shift) - 1
        if not v.classes:
            v.spread[n] &= (1 << (r[W_PSRTYPE + n] >> 29)) - 1
    v.check_mac = v.check_vlan = 0
    for n in range(POOLS // 8):
        word = r[W_PFVFSPOOF + n]
        v.check_mac |= <uint64_t> (word & 0xFF) << (8 * n)
        v.check_vlan |= <uint64_t> (word >> 8 & 0xFF) << (8 * n)
    v.check_vlan &= v.check_mac  # 8.2.3.27: VLANAS only works beside MACAS
    _decode_vlans(v, r)
    _decode_mirrors(v, r)
    _decode_queues(p)


cdef void _decode_vlans(mdl_pools *v, const uint32_t *r) noexcept nogil:
    cdef uint32_t n, vid
    memset(v.slot, 0, VLANS)
    for n in range(VLAN_SLOTS):
        v.vlan[n] = _pair(r, W_VLVFB + 2 * n)
        vid = r[W_VLVF + n] & 0xFFF
        if r[W_VLVF + n] >> 31 and not v.slot[vid]:
            v.slot[vid] = n + 1


cdef void _decode_mirrors(mdl_pools *v, const uint32_t *r) noexcept nogil:
    cdef uint32_t n, word
    cdef mdl_mirror *m
    v.mirrors = 0
    for n in range(MIRRORS):
        word = r[W_MRCTL + n]
        if not word & (VPME | UPME | DPME | VLME):
            continue
        m = &v.mirror[v.mirrors]
        v.mirrors += 1
        m.pools = r[W_VMRVM + n] | <uint64_t> r[W_VMRVM + n + 4] << 32 if word & VPME else 0
        m.vlans = r[W_VMRVLAN + n] | <uint64_t> r[W_VMRVLAN + n + 4] << 32 if word & VLME else 0
        m.uplink, m.downlink = (word & UPME) != 0, (word & DPME) != 0
        m.target = ONE << (word >> 8 & 63)


cdef void _decode_queues(mdl_port *p) noexcept nogil:
    """Who may send, and with which tag."""
    cdef uint64_t send = _pair(p.regs, W_VFTE)
    cdef uint32_t queue, pool, word
    p.tx_gate[0] = p.tx_gate[1] = 0
    for queue in range(QUEUES):
        pool = queue >> p.vt.tx_shift if p.pooled else 0
        word = p.regs[W_VMVIR + pool] if p.pooled else 0
        p.txq[queue].sender = pool
        p.txq[queue].port_tag = word & 0xFFFF
        p.txq[queue].tagging = word >> 30
        # SILENT about what becomes of descriptors meanwhile: they are not fetched.
        if not p.pooled or send >> pool & 1:
            p.tx_gate[queue >> 6] |= ONE << (queue & 63)


# ---- rules that both ways have in common -------------------------------------------------------------------------


cdef inline uint64_t _claimants(mdl_port *p, uint64_t destination, bint *exact) noexcept nogil:
    """Who wants frames to that address. exact: it is in the address table."""
    cdef const mdl_pools *v = &p.vt
    cdef const mdl_address *entry
    cdef uint64_t pools = 0
    exact[0] = False
    if destination == BROADCAST:
        return v.broadcast
    entry = mdl_find(&p.filter, destination)
    if entry != NULL:
        exact[0] = True
        pools = entry.pools
    if not destination & 1:
        if not pools and v.hash_unicast and hashed(&p.filter, p.filter.uta, destination):
            pools = v.hash_unicast
        return pools
    if entry == NULL and p.filter.hash_multicast and hashed(&p.filter, p.filter.mta, destination):
        pools = v.hash_multicast
    return pools | v.all_multicast


cdef inline uint64_t _members(const mdl_pools *v, int tag) noexcept nogil:
    """The pools that a tag lets through; -1, for an untagged frame, likewise."""
    cdef uint32_t slot
    if tag == UNTAGGED:
        return v.untagged
    slot = v.slot[tag & 0xFFF]
    return v.vlan[slot - 1] if slot else 0


cdef uint64_t _mirrored(mdl_port *p, uint64_t pools, int tag, bint arrives, bint leaves) noexcept nogil:
    """7.10.3.5: who gets a copy because of a rule. SILENT: whether the target is of the VLAN does not matter."""
    cdef const mdl_pools *v = &p.vt
    cdef const mdl_mirror *m
    cdef uint64_t found = 0, vlan = 0
    cdef uint32_t n
    if tag != UNTAGGED and v.slot[tag & 0xFFF]:
        vlan = ONE << (v.slot[tag & 0xFFF] - 1)
    for n in range(v.mirrors):
        m = &v.mirror[n]
        if pools & m.pools or vlan & m.vlans or arrives and m.uplink or leaves and m.downlink:
            found |= m.target
    return found


# ---- from the wire (7.10.3.3) ------------------------------------------------------------------------------------


cdef uint64_t pools_of_arrival(mdl_port *p, const uint8_t *data, uint32_t n, uint16_t etype) noexcept nogil:
    cdef const mdl_pools *v = &p.vt
    cdef uint64_t destination = mdl_load64(data) & ADDRESS, pools
    cdef bint exact
    cdef int tag = UNTAGGED
    cdef uint32_t i
    pools = _claimants(p, destination, &exact) & v.receive
    if p.filter.vlan_filter or v.mirrors:
        tag = tag_of(&p.filter, data, n)
    if p.filter.vlan_filter:
        pools &= _members(v, tag)
    if not v.replicate:
        # SILENT: of several pools with an address the lowest gets it; everything else is the default pool's to distribute.
        pools = 0 if destination & 1 else pools & -pools
    if not pools:
        pools = v.fallback
    if p.steer.any_etqf:
        for i in range(8):
            if p.steer.etqf[i] >> 31 and p.steer.etqf[i] & 0xFFFF == etype:
                if p.steer.etqf[i] & ETQF_POOL:
                    pools = ONE << (p.steer.etqf[i] >> 20 & 63)
                break
    if v.mirrors:
        pools |= _mirrored(p, pools, tag, True, False)
    return pools & v.receive


# ---- from a pool (7.10.3.4, 7.10.3.9.2) --------------------------------------------------------------------------


cdef uint64_t pools_of_departure(
    mdl_port *p, const uint8_t *data, uint32_t n, uint32_t sender, bint *leaves
) noexcept nogil:
    cdef const mdl_pools *v = &p.vt
    cdef uint64_t destination = mdl_load64(data) & ADDRESS, pools
    cdef bint exact
    cdef int tag = UNTAGGED
    leaves[0] = True
    if not v.switching:
        return 0
    pools = _claimants(p, destination, &exact) & v.receive
    if p.filter.vlan_filter or v.mirrors:
        tag = tag_of(&p.filter, data, n)
    if p.filter.vlan_filter:
        pools &= _members(v, tag)
    # CONFLICT: the text gives multicasts that no pool wants to the default pool; the list of rules does not. The model
    # does not, unless the default pool is the one that distributes them.
    if not v.replicate:
        pools = v.fallback if destination & 1 else pools & -pools
    # SILENT about an address of a pool that the VLAN keeps out: the frame goes to the wire, as to a stranger.
    leaves[0] = destination & 1 or not exact or not pools
    pools &= ~(ONE << sender) | v.echo
    if v.mirrors:
        pools |= _mirrored(p, pools, tag, False, leaves[0])
    return pools & v.receive if p.filter.receive else 0


cdef bint honest(mdl_port *p, const uint8_t *data, uint32_t n, uint32_t sender) noexcept nogil:
    cdef const mdl_pools *v = &p.vt
    cdef const mdl_address *entry
    cdef uint64_t who = ONE << sender
    cdef int tag
    if not v.check_mac & who:
        return True
    entry = mdl_find(&p.filter, mdl_load64(data + 6) & ADDRESS)
    if entry == NULL or not entry.pools & who:
        return False
    if v.check_vlan & who:
        tag = tag_of(&p.filter, data, n)
        if tag != UNTAGGED:
            return _members(v, tag) & who != 0
    return True
