/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Loads, stores and copies of bytes that are not aligned.
 */
#ifndef DATAPLANE_MODEL_BYTES_H
#define DATAPLANE_MODEL_BYTES_H

#include <stdint.h>
#include <string.h>

#include "dataplane.h"

typedef uint8_t mdl_v16 __attribute__((vector_size(16), aligned(1), may_alias));

/* Most frames are short: for them two overlapping blocks are faster than a call. Does not access bytes outside [0, n). */
static inline void mdl_copy(uint8_t *to, const uint8_t *from, uint32_t n)
{
    if (dp_likely(n >= 32 && n <= 64)) {
        mdl_v16 a = *(const mdl_v16 *)from, b = *(const mdl_v16 *)(from + 16);
        mdl_v16 c = *(const mdl_v16 *)(from + n - 32), d = *(const mdl_v16 *)(from + n - 16);
        *(mdl_v16 *)to = a;
        *(mdl_v16 *)(to + 16) = b;
        *(mdl_v16 *)(to + n - 32) = c;
        *(mdl_v16 *)(to + n - 16) = d;
    } else
        memcpy(to, from, n);
}

static inline uint16_t mdl_load16(const void *p) { uint16_t v; memcpy(&v, p, 2); return v; }
static inline uint32_t mdl_load32(const void *p) { uint32_t v; memcpy(&v, p, 4); return v; }
static inline uint64_t mdl_load64(const void *p) { uint64_t v; memcpy(&v, p, 8); return v; }
static inline void mdl_store16(void *p, uint16_t v) { memcpy(p, &v, 2); }
static inline void mdl_store32(void *p, uint32_t v) { memcpy(p, &v, 4); }
static inline uint16_t mdl_be16(const void *p) { return __builtin_bswap16(mdl_load16(p)); }
static inline uint32_t mdl_be32(const void *p) { return __builtin_bswap32(mdl_load32(p)); }

/* For words that a polling driver reads: stored as a whole, after all earlier stores. */
static inline void mdl_publish64(void *p, uint64_t v) { __atomic_store_n((uint64_t *)p, v, __ATOMIC_RELEASE); }
static inline void mdl_publish32(void *p, uint32_t v) { __atomic_store_n((uint32_t *)p, v, __ATOMIC_RELEASE); }

static inline uint32_t mdl_ctz64(uint64_t v) { return (uint32_t)__builtin_ctzll(v); }

#endif
