/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The kernels, one packet at a time: the reference for all others, and what runs where there is no vector unit.
 */
#ifndef IXGBE_SCALAR_H
#define IXGBE_SCALAR_H

#include "kernel.h"

/* Datasheet 7.1.6.2. */
static uint32_t ixgbe_scalar_take(const union hw_rx_desc *ring, struct dp_mbuf **sw, struct dp_mbuf **pkts, uint32_t n,
                                  const struct ixgbe_rx_meta *meta)
{
    const uint64_t whole = HW_RXD_STAT_DD | HW_RXD_STAT_EOP, length = 0xFFFFull << 32;
    uint32_t i;
    for (i = 0; i < n; i++) {
        struct dp_mbuf *m = sw[i];
        uint64_t status = dp_read64(&ring[i].qword[1]), info;
        if (dp_unlikely((status & whole) != whole))
            break;
        dp_rmb(); /* nothing of the packet or the descriptor is read before DD was seen */
        info = ring[i].qword[0];
        dp_prefetch_write(sw[i + IXGBE_AHEAD / 2]);
        ixgbe_put_word(m, 16, meta->rearm);
        m->ol_flags = meta->seen[status >> 3 & 15] & meta->allowed[(status >> 30 & 3) | (info >> 7 & 4)]
                      & meta->hashed[info & 15];
        /* packet_type and pkt_len; data_len, vlan_tci and rss_hash: they lie as in the descriptor */
        ixgbe_put_word(m, 32, (info & HW_RXD_PKT_TYPE_MASK) >> HW_RXD_PKT_TYPE_SHIFT | (status & length));
        ixgbe_put_word(m, 40, status >> 32 | info >> 32 << 32);
        pkts[i] = m;
    }
    return i;
}

/* Datasheet 7.1.6.1. */
static void ixgbe_scalar_arm(union hw_rx_desc *ring, struct dp_mbuf *const *sw, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        ring[i].read.packet = sw[i]->buf_iova + DP_MBUF_HEADROOM;
        ring[i].read.header = 0; /* and with it DD */
    }
}

/* Datasheet 7.2.3.2.4. */
static uint32_t ixgbe_scalar_put(union hw_tx_desc *ring, struct dp_mbuf **sw, struct dp_mbuf *const *pkts, uint32_t n,
                                 const struct ixgbe_tx_alike *alike, const struct dp_mempool *pool, uint64_t *mixed)
{
    const uint64_t command = alike->command, flags = alike->flags;
    const uint32_t headers = alike->headers, headers_mask = alike->headers_mask;
    const uint32_t tag = alike->tag, tag_mask = alike->tag_mask;
    const uint32_t shortest = alike->shortest, span = alike->longest - shortest;
    uint64_t others = 0;
    uint32_t i;
    for (i = 0; i < n; i++) {
        struct dp_mbuf *m = pkts[i];
        uint64_t size = m->data_len;
        uint32_t lengths;
        memcpy(&lengths, &m->l2_len, 4);
        if (dp_unlikely(((m->ol_flags & IXGBE_TX_KIND) ^ flags) | (m->nb_segs ^ 1u) | ((m->vlan_tci ^ tag) & tag_mask)
                        | ((lengths ^ headers) & headers_mask)))
            break;
        if (dp_unlikely((uint32_t)size - shortest > span))
            break;
        ring[i].qword[0] = m->buf_iova + m->data_off;
        ring[i].qword[1] = command | size | size << (32 + HW_TXD_PAYLEN_SHIFT); /* this clears DD too */
        sw[i] = m;
        others |= (uint64_t)pool ^ (uint64_t)m->pool;
    }
    *mixed |= others;
    return i;
}

/* One packet of several segments, which is otherwise as `alike` says: an mbuf leads to the next one, so there is no wider form.
 * At most `most` descriptors; returns how many, 0 if it is not so, and then the packet is as it was. */
static inline uint32_t ixgbe_put_chain(union hw_tx_desc *ring, struct dp_mbuf **sw, struct dp_mbuf *m, uint32_t most,
                                       const struct ixgbe_tx_alike *alike, const struct dp_mempool *pool, uint64_t *mixed)
{
    const uint32_t n = m->nb_segs, total = m->pkt_len;
    const uint64_t command = (alike->command & ~(uint64_t)HW_TXD_CMD_EOP) | (uint64_t)total << (32 + HW_TXD_PAYLEN_SHIFT);
    struct dp_mbuf *segment = m;
    uint64_t others = 0;
    uint32_t i, left = total, headers;
    memcpy(&headers, &m->l2_len, 4);
    if (((m->ol_flags & IXGBE_TX_KIND) ^ alike->flags) | ((m->vlan_tci ^ alike->tag) & alike->tag_mask)
        | ((headers ^ alike->headers) & alike->headers_mask))
        return 0;
    if (n > most || total < alike->shortest || total > alike->longest)
        return 0;
    for (i = 0; i < n; i++) {
        if (segment == NULL || segment->data_len == 0) /* a descriptor of 0 bytes is forbidden (7.2.3.2.4) */
            return 0;
        ring[i].qword[0] = segment->buf_iova + segment->data_off;
        ring[i].qword[1] = command | segment->data_len;
        sw[i] = segment;
        left -= segment->data_len;
        others |= (uint64_t)pool ^ (uint64_t)segment->pool;
        segment = segment->next;
    }
    if (segment != NULL || left != 0)
        return 0;
    ring[n - 1].qword[1] |= HW_TXD_CMD_EOP;
    for (i = 0; i + 1 < n; i++)
        sw[i]->next = NULL; /* each goes back to its pool by itself */
    *mixed |= others;
    return n;
}

#endif
