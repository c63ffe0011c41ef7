/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Both addresses of the Ethernet headers of a burst at once: twelve bytes from each frame to two columns of numbers, and
 * back. That they are neighbours halves the loads and stores, and one shuffle turns the bytes of both.
 */
#ifndef DATAPLANE_ADDRESSES_H
#define DATAPLANE_ADDRESSES_H

#include <stdint.h>
#include <string.h>

#include "dataplane.h"

/* Where the first segments of packets begin; returns how long the shortest is. */
static inline uint32_t dp_look(struct dp_mbuf *const *pkts, int n, uint8_t **start)
{
    uint32_t shortest = 0xFFFF;
    #pragma GCC unroll 4
    for (int i = 0; i < n; i++) {
        const struct dp_mbuf *m = pkts[i];
        uint32_t length = m->data_len;
        start[i] = (uint8_t *)m->buf_addr + m->data_off;
        shortest = length < shortest ? length : shortest;
    }
    return shortest;
}

/* One column: six bytes as one load of eight, two more being there, and as two stores. */
static inline void dp_gather48(uint8_t *const *start, int n, int offset, uint64_t *to)
{
    #pragma GCC unroll 4
    for (int i = 0; i < n; i++) {
        uint64_t word;
        memcpy(&word, start[i] + offset, 8);
        to[i] = __builtin_bswap64(word) >> 16;
    }
}

static inline void dp_scatter48(uint8_t *const *start, int n, int offset, const uint64_t *values)
{
    #pragma GCC unroll 4
    for (int i = 0; i < n; i++) {
        uint64_t word = __builtin_bswap64(values[i] << 16);
        memcpy(start[i] + offset, &word, 4);
        word >>= 32;
        memcpy(start[i] + offset + 4, &word, 2);
    }
}

/* Both, from `offset` on; sixteen bytes must be there to be gathered, twelve to be scattered. `look` gathers on the way as it
 * finds out where the packets begin, and returns how long the shortest is: what it gathered is right if that is long enough.
 * Until then it reads on in the buffer, so `offset` is at most DP_LOOK_FURTHEST: a mempool has a line to spare behind each. */
#define DP_LOOK_FURTHEST 48
struct dp_addresses {
    uint32_t (*look)(struct dp_mbuf *const *pkts, int n, uint8_t **start, int offset, uint64_t *first, uint64_t *second);
    void (*gather)(uint8_t *const *start, int n, int offset, uint64_t *first, uint64_t *second);
    void (*scatter)(uint8_t *const *start, int n, int offset, const uint64_t *first, const uint64_t *second);
};

static void dp_gather_plain(uint8_t *const *start, int n, int offset, uint64_t *first, uint64_t *second)
{
    dp_gather48(start, n, offset, first);
    dp_gather48(start, n, offset + 6, second);
}

static void dp_scatter_plain(uint8_t *const *start, int n, int offset, const uint64_t *first, const uint64_t *second)
{
    dp_scatter48(start, n, offset, first);
    dp_scatter48(start, n, offset + 6, second);
}

static uint32_t dp_look_plain(struct dp_mbuf *const *pkts, int n, uint8_t **start, int offset, uint64_t *first, uint64_t *second)
{
    uint32_t shortest = dp_look(pkts, n, start);
    if ((uint32_t)offset + 16 <= shortest)
        dp_gather_plain(start, n, offset, first, second);
    return shortest;
}

static const struct dp_addresses dp_addresses_plain = {dp_look_plain, dp_gather_plain, dp_scatter_plain};

#if defined(__x86_64__)
#include <tmmintrin.h>

#define DP_SSSE3 __attribute__((target("ssse3")))

DP_SSSE3 static inline void dp_gather_one_ssse3(const uint8_t *from, uint64_t *first, uint64_t *second)
{
    const __m128i turn = _mm_setr_epi8(5, 4, 3, 2, 1, 0, -1, -1, 11, 10, 9, 8, 7, 6, -1, -1);
    __m128i both = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)from), turn);
    _mm_storel_epi64((__m128i *)first, both);
    _mm_storeh_pi((__m64 *)second, _mm_castsi128_ps(both));
}

DP_SSSE3 static void dp_gather_ssse3(uint8_t *const *start, int n, int offset, uint64_t *first, uint64_t *second)
{
    #pragma GCC unroll 4
    for (int i = 0; i < n; i++)
        dp_gather_one_ssse3(start[i] + offset, &first[i], &second[i]);
}

DP_SSSE3 static uint32_t dp_look_ssse3(
    struct dp_mbuf *const *pkts, int n, uint8_t **start, int offset, uint64_t *first, uint64_t *second)
{
    uint32_t shortest = 0xFFFF;
    #pragma GCC unroll 4
    for (int i = 0; i < n; i++) {
        const struct dp_mbuf *m = pkts[i];
        uint32_t length = m->data_len;
        start[i] = (uint8_t *)m->buf_addr + m->data_off;
        shortest = length < shortest ? length : shortest;
        dp_gather_one_ssse3(start[i] + offset, &first[i], &second[i]);
    }
    return shortest;
}

DP_SSSE3 static void dp_scatter_ssse3(uint8_t *const *start, int n, int offset, const uint64_t *first, const uint64_t *second)
{
    const __m128i turn = _mm_setr_epi8(5, 4, 3, 2, 1, 0, 13, 12, 11, 10, 9, 8, -1, -1, -1, -1);
    #pragma GCC unroll 4
    for (int i = 0; i < n; i++) {
        __m128 low = _mm_castsi128_ps(_mm_loadl_epi64((const __m128i *)&first[i]));
        __m128i both = _mm_shuffle_epi8(_mm_castps_si128(_mm_loadh_pi(low, (const __m64 *)&second[i])), turn);
        int last = _mm_cvtsi128_si32(_mm_srli_si128(both, 8));
        _mm_storel_epi64((__m128i *)(start[i] + offset), both);
        memcpy(start[i] + offset + 8, &last, 4);
    }
}

static const struct dp_addresses dp_addresses_ssse3 = {dp_look_ssse3, dp_gather_ssse3, dp_scatter_ssse3};
#define DP_ADDRESSES_BEST (__builtin_cpu_supports("ssse3") ? &dp_addresses_ssse3 : &dp_addresses_plain)
#else
#define DP_ADDRESSES_BEST (&dp_addresses_plain)
#endif

#endif
