/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Rx and Tx queues, decoded from their registers (datasheet 7.1.9, 7.2.3).
 */
#ifndef DATAPLANE_MODEL_QUEUE_H
#define DATAPLANE_MODEL_QUEUE_H

#include <stdint.h>

#include "dataplane.h"
#include "state/domain.h"

#define MDL_QUEUES 128

struct mdl_rxq {
    struct mdl_domain *domain; /* of the function that owns the queue's pool */
    uint8_t *ring; /* host address; NULL: the ring is not mapped in one piece, so each access asks the domain */
    volatile uint32_t *tail;
    volatile uint32_t *head_reg;
    uint32_t n, head;
    uint32_t buffer; /* bytes of a buffer */
    uint8_t enabled, stalled, drop, legacy, strip, set, warned;
    uint8_t usual; /* the fast path applies: mapped in one piece, advanced descriptors, tags stay */
    uint64_t base;
    uint32_t bad_tail; /* the last tail that was reported as wrong */
    uint8_t doubtful;  /* SRRCTL is wrong, and no frame has arrived yet */
    uint8_t merges, rsc_most, rsc_stamps; /* RSC: on; descriptors per packet; packets with time stamps, too */
    uint8_t rsc_warned, pad1[3];
} DP_ALIGNED;

struct mdl_context {
    uint16_t vlan;
    uint8_t mac_len, l4_len;
    uint16_t ip_len, mss;
    uint8_t ipv4, l4_type, fcoe, pad;
};

struct mdl_txq {
    struct mdl_domain *domain;
    uint8_t *ring;
    volatile uint32_t *head_reg;
    uint32_t n, head;
    uint8_t enabled, stalled, set, wthresh, head_wb, warned;
    uint8_t tagging;   /* PFVMVIR.VLANA */
    uint8_t sender;    /* its pool; 0 without pools */
    uint32_t written;  /* with WTHRESH: descriptors before this are written back */
    uint32_t bad_tail; /* the last tail that was reported as wrong */
    uint32_t segments_sent; /* of a segmented packet that waits for the wire */
    uint32_t rate;     /* line rate / this queue's rate, a fixed-point number with 14 fraction bits; 0: no limit */
    uint64_t base;
    uint64_t head_address;
    uint64_t idle_at;  /* with a rate: when it may send again, in ns / 64 */
    uint16_t port_tag; /* PFVMVIR: the tag that its pool's frames get */
    uint16_t pad1[3];
    struct mdl_context context[2];
} DP_ALIGNED;

#endif
