/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The kernels of the hot loops: what each of them does, and its parameters. scalar.h is the readable form; sse42.h, avx2.h and
 * avx512.h do the same for several packets at once, and a test holds each against the scalar form, byte for byte.
 *
 * A kernel works on a stretch of the descriptor ring that does not wrap, and stops before the first descriptor or packet that
 * is not of the usual kind, which the queue then handles. It uses no tails, pools or wraps.
 */
#ifndef IXGBE_KERNEL_H
#define IXGBE_KERNEL_H

#include <string.h>

#include "dataplane.h"
#include "hw82599.h"

/* Prefetch distance, in mbufs. `sw` has this many extra NULL entries at its end. */
#define IXGBE_AHEAD 16

/* ---- receive ---- */

/* ol_flags of a packet: seen[status bits 6:3: VP, UDPCS, L4CS, IPCS] & allowed[L4E, IPE, UDP from bit 0 on] & hashed[RSS type]. */
struct ixgbe_rx_meta {
    uint8_t seen[16] __attribute__((aligned(16)));
    uint8_t allowed[16];
    uint8_t hashed[16];
    uint64_t rearm; /* data_off, refcnt, nb_segs and port of every packet */
};

/* Up to n packets of one buffer each out of `ring` and `sw`, which has the mbuf of each descriptor: their first lines filled
 * in, pointers in pkts. Stops before a descriptor without DD or without EOP; returns how many. All n descriptors have a
 * buffer, so that none says DD before those in front of it do: the NIC writes them back in order. */
typedef uint32_t ixgbe_rx_take(const union hw_rx_desc *ring, struct dp_mbuf **sw, struct dp_mbuf **pkts, uint32_t n,
                               const struct ixgbe_rx_meta *meta);

/* The n descriptors get the buffers of the mbufs in `sw`; DD is cleared. */
typedef void ixgbe_rx_arm(union hw_rx_desc *ring, struct dp_mbuf *const *sw, uint32_t n);

/* ---- transmit ---- */

#define IXGBE_TX_OFFLOADS (DP_TX_VLAN | DP_TX_IP_CSUM | DP_TX_UDP_CSUM | DP_TX_TCP_CSUM | DP_TX_TSO)
#define IXGBE_TX_CHECKSUMS (DP_TX_IP_CSUM | DP_TX_UDP_CSUM | DP_TX_TCP_CSUM | DP_TX_TSO)
#define IXGBE_TX_KIND (IXGBE_TX_OFFLOADS | DP_TX_IPV4 | DP_TX_STAMP) /* what of ol_flags decides about the descriptors */

/* The properties that packets of one segment share if their descriptors have the same words. */
struct ixgbe_tx_alike {
    uint64_t flags;      /* their ol_flags, of IXGBE_TX_KIND                                   */
    uint64_t command;    /* second quadword of their descriptors, without lengths              */
    uint32_t headers;    /* their l2_len and l3_len as one word, as far as headers_mask says   */
    uint32_t headers_mask;
    uint16_t tag;        /* their vlan_tci, as far as tag_mask says                            */
    uint16_t tag_mask;
    uint16_t shortest;   /* bytes                                                              */
    uint16_t longest;    /* bytes; below 32768, so that a vector may compare with signs        */
};

/* Up to n packets into `ring` and `sw`, as far as they are all as `alike` says; returns how many. Bits in which their pools
 * differ from `pool` are added to *mixed. */
typedef uint32_t ixgbe_tx_put(union hw_tx_desc *ring, struct dp_mbuf **sw, struct dp_mbuf *const *pkts, uint32_t n,
                              const struct ixgbe_tx_alike *alike, const struct dp_mempool *pool, uint64_t *mixed);

struct ixgbe_kernels {
    const char *name;
    ixgbe_rx_take *take;
    ixgbe_rx_arm *arm;
    ixgbe_tx_put *put;
};

_Static_assert(offsetof(struct dp_mbuf, data_len) == 40 && offsetof(struct dp_mbuf, vlan_tci) == 42, "one word: length and tag");
_Static_assert(offsetof(struct dp_mbuf, l2_len) == 52 && offsetof(struct dp_mbuf, l3_len) == 54, "one word: header lengths");
_Static_assert(offsetof(struct dp_mbuf, pool) == 56, "in the first line");

static inline uint64_t ixgbe_word(const void *base, size_t at)
{
    uint64_t word;
    memcpy(&word, (const uint8_t *)base + at, 8);
    return word;
}

static inline void ixgbe_put_word(void *base, size_t at, uint64_t word) { memcpy((uint8_t *)base + at, &word, 8); }

#endif
