# SPDX-License-Identifier: BSD-3-Clause
"""Which frames the MAC lets in (datasheet 7.1.1.1, 8.2.3.7)."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from dataplane.limits cimport VLAN_TAG_BYTES
from dataplane.machine cimport likely
from dataplane.pmd.model.state.bytes cimport mdl_be16, mdl_load16, mdl_load64
from dataplane.pmd.model.state.filter cimport mdl_filter

cdef enum:
    PASS_NOT = 0
    PASS_EXACT = 1  # by address, broadcast or promiscuity
    PASS_INEXACT = 2  # by a hash only
    UNTAGGED = -1

# The tables of the register file, decoded. Called when a register that they come from has changed.
cdef void decode_filter(mdl_filter *f, uint32_t *regs) noexcept nogil

# The same answer as `accept`, for addresses that take more than a look.
cdef uint32_t accept_address(const mdl_filter *f, uint64_t destination) noexcept nogil

# The VLAN filter's word on a frame of n bytes.
cdef bint accept_vlan(const mdl_filter *f, const uint8_t *data, uint32_t n) noexcept nogil

# Whether the hash of an address is in a table of 4096 bits, MTA or UTA (7.1.1.1).
cdef bint hashed(const mdl_filter *f, const uint32_t *table, uint64_t destination) noexcept nogil


cdef inline int tag_of(const mdl_filter *f, const uint8_t *data, uint32_t n) noexcept nogil:
    """The tag that the VLAN filter looks at (TCI), or UNTAGGED."""
    cdef uint32_t at = 12
    if f.extended_vlan and n >= 18 and mdl_load16(data + 12) == f.outer_vet:
        at = 16  # with double VLAN it looks at the inner one (7.4.5)
    if n < at + 4 or mdl_load16(data + at) != f.vet:
        return UNTAGGED
    return mdl_be16(data + at + 2)


cdef inline uint32_t longest(const mdl_filter *f, const uint8_t *data) noexcept nogil:
    """Bytes with FCS that a frame like this may have: a tag is not in MAXFRS, nor are two with double VLAN (8.2.3.22.13)."""
    if mdl_load16(data + 12) == f.vet:
        return f.max_bytes + VLAN_TAG_BYTES
    if f.extended_vlan and mdl_load16(data + 12) == f.outer_vet:
        return f.max_bytes + (2 * VLAN_TAG_BYTES if mdl_load16(data + 16) == f.vet else VLAN_TAG_BYTES)
    return f.max_bytes


cdef inline uint32_t accept(const mdl_filter *f, const uint8_t *data, uint32_t n) noexcept nogil:
    """PASS_* for a frame of n bytes, at least 14."""
    cdef uint64_t destination = mdl_load64(data) & <uint64_t> 0xFFFFFFFFFFFF
    cdef uint32_t verdict = PASS_EXACT
    if not likely(destination == f.rar0 or (f.all_unicast and not destination & 1)):
        verdict = accept_address(f, destination)
    if f.vlan_filter and verdict and not accept_vlan(f, data, n):
        return PASS_NOT
    return verdict
