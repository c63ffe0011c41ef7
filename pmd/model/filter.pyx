# SPDX-License-Identifier: BSD-3-Clause
"""The MAC's filters: unicast by address, multicast by address or hash, broadcast, VLAN (datasheet 7.1.1.1)."""

from libc.stdint cimport uint16_t

from pmd.model.model cimport RARS, mdl_be16, mdl_load16, mdl_swap16
from pmd.model.word cimport *

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
    FRAME_STANDARD = 1518

cdef uint64_t BROADCAST = 0xFFFFFFFFFFFF


cdef void decode_filter(mdl_filter *f, uint32_t *regs) noexcept nogil:
    cdef uint32_t fctrl = regs[W_FCTRL], vlan = regs[W_VLNCTRL], index
    cdef uint32_t *rar = regs + W_RAL
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
    f.max_bytes = regs[W_MAXFRS] >> 16 if regs[W_HLREG0] & JUMBOEN else FRAME_STANDARD
    f.mta, f.vfta = regs + W_MTA, regs + W_VFTA
    f.rars = 0
    for index in range(RARS):
        if rar[2 * index + 1] >> 31:
            f.rar[f.rars] = rar[2 * index] | <uint64_t> (rar[2 * index + 1] & 0xFFFF) << 32
            f.rars += 1
    # Broadcast has bits of its own (BAM, MPE) even where somebody wrote it into an address register.
    f.rar0 = f.rar[0] if f.rars and f.rar[0] != BROADCAST else ~<uint64_t> 0


cdef uint32_t accept_address(const mdl_filter *f, uint64_t destination) noexcept nogil:
    cdef uint32_t index, b4, b5, vector
    if destination == BROADCAST:
        return PASS_EXACT if f.broadcast else PASS_NOT
    if destination & 1:
        if f.all_multicast:
            return PASS_EXACT
    elif f.all_unicast:
        return PASS_EXACT
    for index in range(f.rars):
        if f.rar[index] == destination:
            return PASS_EXACT
    if destination & 1 and f.hash_multicast:
        b4, b5 = destination >> 32 & 0xFF, destination >> 40 & 0xFF
        if f.mo == 0:
            vector = b4 >> 4 | b5 << 4
        elif f.mo == 1:
            vector = b4 >> 3 | b5 << 5
        elif f.mo == 2:
            vector = b4 >> 2 | b5 << 6
        else:
            vector = b4 | b5 << 8
        vector &= 0xFFF
        if f.mta[vector >> 5] >> (vector & 31) & 1:
            return PASS_INEXACT
    return PASS_NOT


cdef bint accept_vlan(const mdl_filter *f, const uint8_t *data, uint32_t n) noexcept nogil:
    cdef uint32_t at = 12, tag
    if f.extended_vlan and n >= 18 and mdl_load16(data + 12) == f.outer_vet:
        at = 16  # with double VLAN the filter looks at the inner tag (7.4.5)
    if n < at + 4 or mdl_load16(data + at) != f.vet:
        return True
    tag = mdl_be16(data + at + 2)
    if f.cfi_check and (tag >> 12 & 1) != f.cfi_value:
        return False
    return f.vfta[(tag & 0xFFF) >> 5] >> (tag & 31) & 1
