/* SPDX-License-Identifier: BSD-3-Clause
 *
 * DMA of a function: its map from I/O virtual addresses (IOVA) to host memory, and the accesses that it blocked.
 */
#ifndef DATAPLANE_MODEL_DOMAIN_H
#define DATAPLANE_MODEL_DOMAIN_H

#include <stdint.h>

enum mdl_perm { MDL_READ = 1, MDL_WRITE = 2 };

/* The purpose of an access. A fault reports it in words: `WHAT` in iommu.pyx. */
enum mdl_what {
    MDL_RX_DESC_FETCH, MDL_RX_DESC_WRITE, MDL_RX_DATA,
    MDL_TX_DESC_FETCH, MDL_TX_DESC_WRITE, MDL_TX_DATA, MDL_TX_HEAD_WRITE,
    MDL_OTHER,
};

struct mdl_range {
    uint64_t iova, size;
    uint8_t *host;
    uint32_t perms, pad;
};

struct mdl_fault {
    uint64_t iova;
    uint32_t length;
    uint16_t queue;
    uint8_t what, write;
};

#define MDL_FAULTS 64

struct mdl_domain {
    uint64_t hit_iova, hit_size; /* the range that the last access found; size 0: no range */
    uint8_t *hit_host;
    uint32_t hit_perms;
    uint32_t count;
    struct mdl_range *ranges; /* ascending, disjoint */
    uint32_t room;
    uint32_t generation; /* increments with every change of the map */
    uint64_t faults;     /* total; the last MDL_FAULTS are kept */
    struct mdl_fault fault[MDL_FAULTS];
};

#endif
