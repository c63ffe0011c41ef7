# SPDX-License-Identifier: BSD-3-Clause
"""How Cython sees filter.h: the MAC's receive filters."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t


cdef extern from "state/filter.h" nogil:
    enum:
        ADDRESSES "MDL_ADDRESSES"

    const uint64_t NOBODY "MDL_NOBODY"
    const uint64_t ADDRESS "MDL_ADDRESS"
    const uint64_t BROADCAST "MDL_BROADCAST"
    const uint64_t PAUSE_ADDRESS "MDL_PAUSE_ADDRESS"

    struct mdl_address:
        uint64_t address, pools

    struct mdl_filter:
        uint64_t rar0
        uint8_t all_unicast, all_multicast, broadcast, hash_multicast
        uint8_t store_bad, vlan_filter, cfi_check, cfi_value
        uint8_t pass_pause, extended_vlan, receive, mo
        uint16_t vet, outer_vet
        uint32_t max_bytes
        uint8_t hash_unicast
        const uint32_t *mta
        const uint32_t *uta
        const uint32_t *vfta
        mdl_address *known

    const mdl_address *mdl_find(const mdl_filter *f, uint64_t address)
    void mdl_know(mdl_filter *f, uint64_t address, uint64_t pools)
