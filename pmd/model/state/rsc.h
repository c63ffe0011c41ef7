/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Receive side coalescing (datasheet 7.11): the packets that are being merged.
 */
#ifndef DATAPLANE_RSC_H
#define DATAPLANE_RSC_H

#include <stdint.h>

#define MDL_RSC_CONTEXTS 32
#define MDL_RSC_HEADER 128 /* bytes: Ethernet 14, two tags 8, IPv4 20, TCP with a time stamp 32 fit */

struct mdl_rsc { /* one merged packet that is not complete yet */
    uint8_t open, tagged, stamped, tos; /* tagged: with a VLAN; stamped: with TCP's time stamp option */
    uint16_t queue, tci;
    uint32_t src, dst, ports; /* as they lie in the packet */
    uint32_t next;            /* the sequence number that comes next */
    uint32_t info, hash, status; /* for the last descriptor, from the last packet merged */
    uint32_t packets, started;   /* all of them; those that start in the buffer at hand */
    uint32_t descriptors, at;    /* how many it has; the one at hand */
    uint32_t filled, bytes;      /* bytes in the buffer at hand; in all buffers */
    uint16_t l3, l4, header_size, vector; /* where the headers are in memory, without a tag that was taken off */
    uint64_t first, buffer; /* IOVA of the first buffer and of the one at hand */
    uint64_t due;           /* ns: when its vector's interval is over */
    uint8_t header[MDL_RSC_HEADER];
};

#endif
