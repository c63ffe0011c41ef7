/* SPDX-License-Identifier: BSD-3-Clause
 *
 * One port: all that its data path needs, decoded from the register file so that the hot loops touch few cache lines.
 */
#ifndef DATAPLANE_MODEL_PORT_H
#define DATAPLANE_MODEL_PORT_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane.h"
#include "state/director.h"
#include "state/domain.h"
#include "state/fifo.h"
#include "state/filter.h"
#include "state/pools.h"
#include "state/queue.h"
#include "state/rsc.h"
#include "state/stamps.h"
#include "state/steer.h"
#include "state/violation.h"

#define MDL_PACKET_BUFFER (512u << 10)
#define MDL_TX_BUFFER (160u << 10)
#define MDL_SWITCHED (64u << 10) /* frames that wait for pools of the same port; the chip keeps them in its packet buffer */

struct mdl_port {
    uint32_t *regs;
    struct mdl_domain *domain; /* the PF's */
    struct mdl_fifo *rx_fifo; /* the packet buffer */
    uint8_t *scratch;         /* room for one packet to be segmented */
    struct mdl_fifo *tx_fifo; /* where frames go: the peer's packet buffer or a wire's; NULL: nowhere */
    struct mdl_fifo *tx_buffer; /* with pools: frames that were fetched and have not passed the switch yet */
    struct mdl_fifo *switched;  /* with pools: frames that the switch returned to pools of this port */
    uint8_t link, elastic, loopback, rx_held; /* held: SECRXCTRL.RX_DIS keeps frames in the packet buffer */
    uint8_t tx_on, crc_strip, tx_plain, length_check; /* plain: the MAC pads and appends the FCS, as usual */
    uint8_t tx_pad, tx_crc, many_queues, waits; /* waits: for room, instead of losing frames */
    uint8_t pooled; /* there are pools, described by `vt` */
    uint8_t merging, rsc_on, rsc_open; /* RSC: a queue merges; queues may merge; number of open packets */
    uint32_t rx_limit; /* bytes of packet buffer */
    uint32_t epoch; /* mdl_epoch when ring addresses were cached */
    uint32_t dirty;      /* MDL_DIRTY_* */
    uint64_t now_ns;
    uint64_t rx_enabled[2], tx_enabled[2], qde[2];
    uint64_t tx_gate[2]; /* queues of pools that may send */
    uint64_t tx_due[2];  /* queues with descriptors that are done and not written back */
    uint64_t rated[2];   /* queues with a rate */
    uint32_t credit;     /* bytes that a queue with a rate may send at once after a pause */
    uint32_t slow;       /* how much longer a byte takes than at 10 Gb/s: 1, 10 or 100 (LINKS.SPEED) */
    uint64_t rx_causes[2], tx_causes[2];
    uint32_t other_causes;
    uint32_t tx_next; /* the queue to start with, for fairness */
    uint8_t tx_turn[MDL_POOLS]; /* the same within a pool, counted from its first queue */
    uint16_t tx_vlan_type; /* network order */
    uint16_t pad1;
    uint32_t tx_max; /* MAXFRS when jumbo, else 1518 */
    uint32_t stats_queue; /* RXDSTATCTRL */
    /* The function that owns a queue: pool = queue >> pool_shift; 0: all queues are the PF's (GCR_EXT.VT_MODE). `vt` decides
     * where frames go. */
    uint8_t pool_shift, pad3[7];
    uint64_t vf_pools; /* pools of VFs; the others are the PF's */
    struct mdl_domain *domain_of_pool[MDL_POOLS]; /* of its function; NULL: no bus master, so its queues do not run */
    struct mdl_filter filter;
    struct mdl_steer steer;
    struct mdl_pools vt;
    uint8_t wired, wire_steps, pad2[6];
    const int *peer_lit; /* the other end of the wire, if it is a port */
    const uint8_t *peer_pace; /* and the LINKS.SPEED at which it sends */
    uint64_t line_at;    /* ns / 64: a link below 10 Gb/s is busy until then */
    struct mdl_director *director;
    struct mdl_stamps stamps;
    uint64_t violations;
    struct mdl_violation violation[MDL_VIOLATIONS];
    volatile uint32_t *rx_tail[MDL_QUEUES], *tx_tail[MDL_QUEUES]; /* see Engine.attach */
    /* The address of each Tx queue's tail, and its head. Apart from txq, because every step reads all of them. */
    volatile uint32_t *tx_bell[MDL_QUEUES] DP_ALIGNED;
    uint32_t tx_at[MDL_QUEUES];
    struct mdl_rxq rxq[MDL_QUEUES];
    struct mdl_txq txq[MDL_QUEUES];
    struct mdl_rsc rsc[MDL_RSC_CONTEXTS]; /* last: the fields that every packet touches keep their offsets */
} DP_ALIGNED;

enum { MDL_DIRTY_FILTER = 1, MDL_DIRTY_STEER = 2, MDL_DIRTY_POOLS = 4, MDL_DIRTY_RSC = 8 };

static inline void mdl_violate(struct mdl_port *p, int code, uint32_t queue, uint32_t index, uint64_t value)
{
    struct mdl_violation *v = &p->violation[p->violations % MDL_VIOLATIONS];
    v->code = (uint8_t)code;
    v->queue = (uint16_t)queue;
    v->index = index;
    v->value = value;
    p->violations++;
}

static inline void mdl_port_free(struct mdl_port *p)
{
    mdl_fifo_free(p->rx_fifo);
    mdl_fifo_free(p->tx_buffer);
    mdl_fifo_free(p->switched);
    free(p->scratch);
    free(p->director);
    free(p);
}

/* A port with all its memory, zeroed; NULL: no memory. scratch: bytes of the longest packet to be segmented. */
static inline struct mdl_port *mdl_port_new(size_t scratch)
{
    struct mdl_port *p = aligned_alloc(DP_CACHE_LINE, sizeof *p);
    if (!p)
        return NULL;
    memset(p, 0, sizeof *p);
    p->rx_fifo = mdl_fifo_new(MDL_PACKET_BUFFER);
    p->tx_buffer = mdl_fifo_new(MDL_TX_BUFFER);
    p->switched = mdl_fifo_new(MDL_SWITCHED);
    p->scratch = malloc(scratch);
    p->director = mdl_director_new();
    if (p->rx_fifo && p->tx_buffer && p->switched && p->scratch && p->director)
        return p;
    mdl_port_free(p);
    return NULL;
}

#endif
