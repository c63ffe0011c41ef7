# SPDX-License-Identifier: BSD-3-Clause
"""Packets that the NIC has merged (datasheet 7.11), put together from their buffers.

NEXTP names the descriptor with the next buffer of a packet; buffers of other packets may be between them. A packet's data are
read only when its last buffer has arrived: until then the NIC may write to the header.
"""

from libc.stdlib cimport calloc, free

from dataplane.machine cimport unlikely
from dataplane.mempool cimport free_packets
from dataplane.pmd.datasheet.hw82599 cimport (
    HW_RXD_NEXTP_MASK,
    HW_RXD_NEXTP_SHIFT,
    HW_RXD_RSCCNT_MASK,
    HW_RXD_RSCCNT_SHIFT,
    HW_RXD_STAT_DD,
    HW_RXD_STAT_EOP,
)
from dataplane.pmd.ixgbe.queues.kernels cimport kernels_of, kernels_t

cdef const kernels_t *scalar = kernels_of("scalar")


cdef int begin_merging(merge_t *merge, uint32_t length) except -1:
    merge.chains = <unfinished_t *> calloc(length, sizeof(unfinished_t))
    if merge.chains == NULL:
        raise MemoryError
    return 0


cdef void end_merging(merge_t *merge, uint32_t length) noexcept:
    cdef uint32_t at
    if merge.chains == NULL:
        return
    for at in range(length):
        if merge.chains[at].first != NULL:
            free_packets(&merge.chains[at].first, 1)
    free(merge.chains)
    merge.chains = NULL


cdef mbuf *take_merged(
    merge_t *merge, const hw_rx_desc *ring, mbuf **sw, uint32_t at, uint32_t length, const rx_meta_t *meta
) noexcept nogil:
    cdef hw_rx_desc alone = ring[at]
    cdef bint last = alone.wb.status & HW_RXD_STAT_EOP != 0
    cdef uint32_t rsccnt = (<uint32_t> alone.qword[0] & HW_RXD_RSCCNT_MASK) >> HW_RXD_RSCCNT_SHIFT
    cdef uint32_t then = at + 1 if at + 1 < length else 0
    cdef unfinished_t chain = merge.chains[at]
    cdef mbuf *m
    merge.chains[at].first = NULL
    if not last:
        if rsccnt:  # otherwise it is a long packet that was not merged
            then = (alone.wb.status & HW_RXD_NEXTP_MASK) >> HW_RXD_NEXTP_SHIFT
        alone.wb.status = HW_RXD_STAT_DD | HW_RXD_STAT_EOP  # the rest of the word is NEXTP
    scalar.take(&alone, &sw[at], &m, 1, meta)
    if chain.first == NULL:
        chain.first, chain.merged = m, 0
    else:
        chain.last.next = m
        chain.first.nb_segs += 1
        chain.first.pkt_len += m.data_len
    chain.last = m
    if rsccnt:
        chain.merged += rsccnt - 1  # packets that start in this buffer (7.1.6.2)
    if last:
        chain.first.ol_flags = m.ol_flags  # the last descriptor describes the packet (7.1.6.2)
        chain.first.packet_type = m.packet_type
        chain.first.vlan_tci = m.vlan_tci
        chain.first.rss_hash = m.rss_hash
        if chain.merged > 1:
            merge.merged += chain.merged
            merge.into += 1
        return chain.first
    if unlikely(then >= length or then == at or merge.chains[then].first != NULL):
        free_packets(&chain.first, 1)
        merge.broken += 1
    else:
        merge.chains[then] = chain
    return NULL
