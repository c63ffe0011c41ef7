/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The flow director (datasheet 7.1.2.7): its table, and its registers decoded.
 */
#ifndef DATAPLANE_DIRECTOR_H
#define DATAPLANE_DIRECTOR_H

#include <stdint.h>
#include <stdlib.h>

#define MDL_DIRECTED 32768 /* filters with 256 KB and signatures; a perfect one takes the room of four */
#define MDL_NO_FILTER 0xFFFF

struct mdl_directed { /* one filter. Perfect: the fields that the masks leave; signature: `id` alone */
    uint32_t src, dst;   /* as the four bytes lie in the packet */
    uint32_t ports;      /* source, destination << 16 */
    uint16_t vlan, flex; /* a number; two bytes as they lie in the packet */
    uint16_t bucket, next;
    uint16_t id;         /* software's index, or the signature */
    uint8_t kind;        /* bits 1:0: UDP 1, TCP 2, SCTP 3; bit 2: IPv6 */
    uint8_t pool, queue, queued, drop, collides;
};

struct mdl_found { /* what a packet's descriptor shall say */
    uint32_t status;  /* bits of the status and error word */
    uint32_t report;  /* for the place of the RSS hash */
    uint32_t reports; /* whether it goes there */
};

struct mdl_director {
    uint8_t ready, perfect, report, report_always;
    uint8_t drop_queue, flex_at, longest, any_l4; /* longest: filters of a bucket above which a match is flagged; 0: never */
    uint8_t any_pool, any_dst6, pad[2];
    uint16_t vlan_mask, flex_mask; /* masks here: bits of 1 are compared */
    uint16_t src6, dst6;           /* a bit for each byte of an IPv6 address */
    uint32_t src_mask, dst_mask, tcp_mask, udp_mask;
    uint32_t bucket_key, signature_key; /* that the tables below were made from */
    uint16_t bucket_mask, capacity, used, collisions, free_at, threshold;
    uint64_t looked;            /* of the packet at hand: which copies were looked up, */
    struct mdl_found found[64]; /* and what was found */
    uint16_t bucket_sum[8][256], signature_sum[8][256]; /* [byte of both dwords][value] */
    uint16_t head[MDL_DIRECTED];
    struct mdl_directed filter[MDL_DIRECTED];
};

/* Unused pages of the table cost nothing. */
static inline struct mdl_director *mdl_director_new(void) { return calloc(1, sizeof(struct mdl_director)); }

#endif
