# SPDX-License-Identifier: BSD-3-Clause
"""The MAC's filters: unicast by address, multicast by address or hash, broadcast, VLAN (datasheet 7.1.1.1)."""

from libc.stdint cimport uint16_t

from dataplane.limits cimport FRAME_STANDARD_WITH_FCS_BYTES
from dataplane.pmd.datasheet.word cimport *
from dataplane.pmd.model.state.bytes cimport mdl_swap16
from dataplane.pmd.model.state.filter cimport ADDRESSES, BROADCAST, NOBODY, mdl_find, mdl_know

cdef enum:
    SBP = 1 << 1
    MPE = 1 << 8
    UPE = 1 << 9
    BAM = 1 << 10
    MFE = 1 << 2
    PMCF = 1 << 0
    JUMBOEN = 1 << 2
    RXEN = 1 << 0
    EXTENDED_VLAN = 1 << 26
    VT_ENA = 1 << 0
    RARS = 128


cdef void decode_filter(mdl_filter *f, uint32_t *regs) noexcept nogil:
    cdef uint32_t fctrl = regs[W_FCTRL], vlan = regs[W_VLNCTRL], index
    cdef uint32_t *rar = regs + W_RAL
    cdef uint32_t *pools = regs + W_MPSAR_LO
    cdef uint64_t address
    f.store_bad = (fctrl & SBP) != 0
    f.all_multicast = (fctrl & MPE) != 0
    f.all_unicast = (fctrl & UPE) != 0
    f.broadcast = (fctrl & (BAM | MPE)) != 0
    f.hash_multicast = (regs[W_MCSTCTRL] & MFE) != 0
    f.mo = regs[W_MCSTCTRL] & 3
    f.vet = mdl_swap16(<uint16_t> vlan)
    f.cfi_value = vlan >> 28 & 1
    f.cfi_check = vlan >> 29 & 1
    f.vlan_filter = vlan >> 30 & 1
    f.extended_vlan = (regs[W_CTRL_EXT] & EXTENDED_VLAN) != 0
    f.outer_vet = mdl_swap16(<uint16_t> (regs[W_EXVET] >> 16))
    f.pass_pause = (regs[W_MFLCN] & PMCF) != 0
    f.receive = (regs[W_RXCTRL] & RXEN) != 0
    f.max_bytes = regs[W_MAXFRS] >> 16 if regs[W_HLREG0] & JUMBOEN else FRAME_STANDARD_WITH_FCS_BYTES
    f.mta, f.uta, f.vfta = regs + W_MTA, regs + W_UTA, regs + W_VFTA
    f.hash_unicast = regs[W_VT_CTL] & VT_ENA
    f.rar0 = NOBODY
    for index in range(ADDRESSES):
        f.known[index].address = NOBODY
    for index in range(RARS):
        address = rar[2 * index] | <uint64_t> (rar[2 * index + 1] & 0xFFFF) << 32
        # Broadcast has bits of its own (BAM, MPE) even if it is written into an address register.
        if rar[2 * index + 1] >> 31 and address != BROADCAST:
            if f.rar0 == NOBODY:
                f.rar0 = address
            # SILENT about an address in two entries: the first one's pools count.
            mdl_know(f, address, pools[2 * index] | <uint64_t> pools[2 * index + 1] << 32)


cdef bint hashed(const mdl_filter *f, const uint32_t *table, uint64_t destination) noexcept nogil:
    cdef uint32_t b4 = destination >> 32 & 0xFF, b5 = destination >> 40 & 0xFF, vector
    if f.mo == 0:
        vector = b4 >> 4 | b5 << 4
    elif f.mo == 1:
        vector = b4 >> 3 | b5 << 5
    elif f.mo == 2:
        vector = b4 >> 2 | b5 << 6
    else:
        vector = b4 | b5 << 8
    vector &= 0xFFF
    return table[vector >> 5] >> (vector & 31) & 1


cdef uint32_t accept_address(const mdl_filter *f, uint64_t destination) noexcept nogil:
    if destination == BROADCAST:
        return PASS_EXACT if f.broadcast else PASS_NOT
    if (f.all_multicast if destination & 1 else f.all_unicast) or mdl_find(f, destination) != NULL:
        return PASS_EXACT
    if destination & 1:
        return PASS_INEXACT if f.hash_multicast and hashed(f, f.mta, destination) else PASS_NOT
    # 7.10.3.3: with pools unicast addresses have a table of hashes, too.
    return PASS_INEXACT if f.hash_unicast and hashed(f, f.uta, destination) else PASS_NOT


cdef bint accept_vlan(const mdl_filter *f, const uint8_t *data, uint32_t n) noexcept nogil:
    cdef int tag = tag_of(f, data, n)
    if tag == UNTAGGED:
        return True
    if f.cfi_check and (tag >> 12 & 1) != f.cfi_value:
        return False
    return f.vfta[(tag & 0xFFF) >> 5] >> (tag & 31) & 1
