/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Pools (datasheet 7.10.3), decoded from the registers. A set of pools is a mask: bit p is pool p.
 */
#ifndef DATAPLANE_MODEL_POOLS_H
#define DATAPLANE_MODEL_POOLS_H

#include <stdint.h>

#define MDL_POOLS 64
#define MDL_VLANS 4096
#define MDL_VLAN_SLOTS 64
#define MDL_MIRRORS 4

struct mdl_mirror { /* an enabled mirror rule: which frames are copied to `target` */
    uint64_t pools, vlans; /* frames to these pools; frames with the VLANs of these slots */
    uint64_t target;
    uint8_t uplink, downlink, pad[6]; /* frames from the wire; frames to it */
};

struct mdl_pools {
    uint8_t shift, tx_shift; /* Rx queue q is of pool q >> shift, Tx queue q of pool q >> tx_shift (MRQC, MTQC) */
    uint8_t replicate, switching, classes, mirrors, pad[2]; /* classes: queue by traffic class, not by hash */
    uint64_t fallback;       /* the default pool; 0: there is no default pool */
    uint64_t receive, echo;  /* pools that receive; pools that may receive what they sent */
    uint64_t untagged, broadcast, all_multicast, hash_multicast, hash_unicast;
    uint64_t check_mac, check_vlan, count_spoofed;
    uint64_t vlan[MDL_VLAN_SLOTS];
    uint8_t spread[MDL_POOLS]; /* which bits of the RSS result select a queue of the pool */
    uint8_t slot[MDL_VLANS];   /* 1 + the slot of a VLAN; 0: it has no slot */
    struct mdl_mirror mirror[MDL_MIRRORS];
};

#endif
