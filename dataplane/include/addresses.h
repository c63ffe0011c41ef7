/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Both addresses of the Ethernet headers of a burst at once: twelve bytes from each frame to two columns of numbers, and
 * back. That they are neighbours halves the loads and stores, and one shuffle turns the bytes of both.
 */
#ifndef DATAPLANE_ADDRESSES_H
#define DATAPLANE_ADDRESSES_H

#include <stdint.h>
#include <string.h>

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

/* Both, from `offset` on; sixteen bytes must be there to be gathered, twelve to be scattered. */
struct dp_addresses {
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

static const struct dp_addresses dp_addresses_plain = {dp_gather_plain, dp_scatter_plain};

#if defined(__x86_64__)
#include <tmmintrin.h>

#define DP_SSSE3 __attribute__((target("ssse3")))

DP_SSSE3 static void dp_gather_ssse3(uint8_t *const *start, int n, int offset, uint64_t *first, uint64_t *second)
{
    const __m128i turn = _mm_setr_epi8(5, 4, 3, 2, 1, 0, -1, -1, 11, 10, 9, 8, 7, 6, -1, -1);
    #pragma GCC unroll 4
    for (int i = 0; i < n; i++) {
        __m128i both = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(start[i] + offset)), turn);
        _mm_storel_epi64((__m128i *)&first[i], both);
        _mm_storeh_pi((__m64 *)&second[i], _mm_castsi128_ps(both));
    }
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

static const struct dp_addresses dp_addresses_ssse3 = {dp_gather_ssse3, dp_scatter_ssse3};
#define DP_ADDRESSES_BEST (__builtin_cpu_supports("ssse3") ? &dp_addresses_ssse3 : &dp_addresses_plain)
#else
#define DP_ADDRESSES_BEST (&dp_addresses_plain)
#endif

#endif
