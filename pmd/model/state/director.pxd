# SPDX-License-Identifier: BSD-3-Clause
"""How Cython sees director.h: the flow director."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t


cdef extern from "state/director.h" nogil:
    enum:
        DIRECTED "MDL_DIRECTED"
        NO_FILTER "MDL_NO_FILTER"

    struct mdl_directed:
        uint32_t src, dst, ports
        uint16_t vlan, flex, bucket, next, id
        uint8_t kind, pool, queue, queued, drop, collides

    struct mdl_found:
        uint32_t status, report, reports

    struct mdl_director:
        uint8_t ready, perfect, report, report_always
        uint8_t drop_queue, flex_at, longest, any_l4, any_pool, any_dst6
        uint16_t vlan_mask, flex_mask, src6, dst6
        uint32_t src_mask, dst_mask, tcp_mask, udp_mask
        uint32_t bucket_key, signature_key
        uint16_t bucket_mask, capacity, used, collisions, free_at, threshold
        uint64_t looked
        mdl_found *found
        uint16_t (*bucket_sum)[256]
        uint16_t (*signature_sum)[256]
        uint16_t *head
        mdl_directed *filter

    mdl_director *mdl_director_new()
