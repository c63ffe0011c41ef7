/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The MAC's receive filters (datasheet 7.1.1), decoded from the registers.
 */
#ifndef DATAPLANE_MODEL_FILTER_H
#define DATAPLANE_MODEL_FILTER_H

#include <stdint.h>

#include "dataplane.h"

struct mdl_address {
    uint64_t address; /* 48 bits as loaded from a frame; MDL_NOBODY: this place is free */
    uint64_t pools;   /* MPSAR */
};

#define MDL_ADDRESSES 256 /* twice the number of addresses, so that a search always ends at a free place */
#define MDL_NOBODY (~0ull)
#define MDL_ADDRESS 0xFFFFFFFFFFFFull /* mask of the 48 bits */
#define MDL_BROADCAST 0xFFFFFFFFFFFFull
#define MDL_PAUSE_ADDRESS 0x010000C28001ull /* 01:80:C2:00:00:01 (IEEE 802.3 31B), as loaded */

struct mdl_filter {
    uint64_t rar0;     /* the first valid address, or MDL_NOBODY */
    uint8_t all_unicast, all_multicast, broadcast, hash_multicast;
    uint8_t store_bad, vlan_filter, cfi_check, cfi_value;
    uint8_t pass_pause, extended_vlan, receive, mo;
    uint16_t vet, outer_vet; /* network order, as loaded */
    uint32_t max_bytes;      /* with FCS, without tags */
    uint8_t hash_unicast, pad[3];
    const uint32_t *mta, *uta, *vfta;
    struct mdl_address known[MDL_ADDRESSES]; /* a hash table, open addressing */
};

/* The entry of a destination or source address, or NULL. */
static inline const struct mdl_address *mdl_find(const struct mdl_filter *f, uint64_t address)
{
    for (uint32_t at = (uint32_t)(address * 0x9E3779B97F4A7C15ull >> 56);; at = (at + 1) % MDL_ADDRESSES) {
        if (dp_likely(f->known[at].address == address))
            return &f->known[at];
        if (f->known[at].address == MDL_NOBODY)
            return NULL;
    }
}

/* Add an address, unless it is known already. */
static inline void mdl_know(struct mdl_filter *f, uint64_t address, uint64_t pools)
{
    uint32_t at = (uint32_t)(address * 0x9E3779B97F4A7C15ull >> 56);
    for (; f->known[at].address != MDL_NOBODY; at = (at + 1) % MDL_ADDRESSES)
        if (f->known[at].address == address)
            return;
    f->known[at].address = address;
    f->known[at].pools = pools;
}

#endif
