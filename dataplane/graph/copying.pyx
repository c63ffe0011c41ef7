# SPDX-License-Identifier: BSD-3-Clause
"""Copies of packets: an mbuf has one owner, so each further user gets a copy."""

from libc.stdint cimport uint32_t
from libc.string cimport memcpy

from dataplane.machine cimport unlikely
from dataplane.mbuf cimport copy_out, data, mbuf, mempool_t, rearm, set_single
from dataplane.mempool cimport alloc_bulk, free_packets


cdef mbuf *copy_packet(mempool_t *pool, mbuf *source) noexcept nogil:
    cdef mbuf *first = NULL
    cdef mbuf *last = NULL
    cdef mbuf *m
    cdef uint32_t at = 0, here
    while first == NULL or at < source.pkt_len:
        if unlikely(alloc_bulk(pool, &m, 1)):
            if first != NULL:
                free_packets(&first, 1)
            return NULL
        here = min(pool.data_room, source.pkt_len - at)
        rearm(m, source.port)
        set_single(m, copy_out(source, at, data(m), here))
        at += here
        if first == NULL:
            first = m
        else:
            last.next = m
            first.nb_segs += 1
        last = m
    # Metadata: offload flags of Rx, and offloads requested for Tx.
    first.ol_flags = source.ol_flags
    first.packet_type = source.packet_type
    first.pkt_len = source.pkt_len
    first.vlan_tci = source.vlan_tci
    first.vlan_tci_outer = source.vlan_tci_outer
    first.rss_hash = source.rss_hash
    first.l2_len = source.l2_len
    first.l3_len = source.l3_len
    first.l4_len = source.l4_len
    first.tso_segsz = source.tso_segsz
    first.timestamp_ns = source.timestamp_ns
    first.cut_len = source.cut_len
    memcpy(first.user, source.user, sizeof(source.user))
    return first
