/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The Internet checksum (RFC 1071).
 */
#ifndef DATAPLANE_MODEL_CHECKSUM_H
#define DATAPLANE_MODEL_CHECKSUM_H

#include <stdint.h>

#include "state/bytes.h"

typedef uint64_t mdl_v64 __attribute__((vector_size(16), aligned(1), may_alias));

/* The sum of n bytes as 16-bit words in memory order, not folded yet. */
static inline uint64_t mdl_sum(const uint8_t *p, uint32_t n)
{
    uint64_t sum = 0;
    if (n >= 128) { /* four lanes: two for the even halves of each word, two for the odd ones */
        mdl_v64 even = {0}, odd = {0}, mask = {0xFFFFFFFFu, 0xFFFFFFFFu};
        for (; n >= 32; n -= 32, p += 32) {
            mdl_v64 a = *(const mdl_v64 *)p, b = *(const mdl_v64 *)(p + 16);
            even += (a & mask) + (b & mask);
            odd += (a >> 32) + (b >> 32);
        }
        even += odd;
        sum = even[0] + even[1];
    }
    for (; n >= 16; n -= 16, p += 16)
        sum += (uint64_t)mdl_load32(p) + mdl_load32(p + 4) + mdl_load32(p + 8) + mdl_load32(p + 12);
    for (; n >= 4; n -= 4, p += 4)
        sum += mdl_load32(p);
    if (n >= 2) {
        sum += mdl_load16(p);
        n -= 2;
        p += 2;
    }
    return n ? sum + *p : sum; /* the missing last byte counts as 0: the host is little-endian */
}

static inline uint32_t mdl_fold(uint64_t sum)
{
    sum = (sum & 0xFFFFFFFFu) + (sum >> 32); /* at most 0xFFFFFFFF + 2^12: no frame's sum reaches 2^44 */
    sum = (sum & 0xFFFFu) + (sum >> 16);
    sum = (sum & 0xFFFFu) + (sum >> 16);
    return (uint32_t)sum;
}

#endif
