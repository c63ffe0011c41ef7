# SPDX-License-Identifier: BSD-3-Clause
"""How Cython sees pools.h: pools, VLANs and mirrors."""

from libc.stdint cimport uint8_t, uint64_t


cdef extern from "state/pools.h" nogil:
    enum:
        POOLS "MDL_POOLS"
        VLANS "MDL_VLANS"
        VLAN_SLOTS "MDL_VLAN_SLOTS"
        MIRRORS "MDL_MIRRORS"

    struct mdl_mirror:
        uint64_t pools, vlans, target
        uint8_t uplink, downlink

    struct mdl_pools:
        uint8_t shift, tx_shift, replicate, switching, classes, mirrors
        uint64_t fallback, receive, echo
        uint64_t untagged, broadcast, all_multicast, hash_multicast, hash_unicast
        uint64_t check_mac, check_vlan, count_spoofed
        uint64_t *vlan
        uint8_t *spread
        uint8_t *slot
        mdl_mirror *mirror
