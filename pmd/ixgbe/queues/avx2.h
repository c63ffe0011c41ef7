/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The kernels with vectors of 32 bytes: two descriptors, or what is written of an mbuf; eight packets read in an iteration, four written.
 * The rest goes to the narrower ones.
 */
#ifndef IXGBE_AVX2_H
#define IXGBE_AVX2_H

#include "sse42.h"

#define IXGBE_AVX2 __attribute__((target("avx2")))

IXGBE_AVX2 static inline __m256i ixgbe_load32(const void *p, size_t at)
{
    return _mm256_loadu_si256((const __m256i *)((const uint8_t *)p + at));
}

IXGBE_AVX2 static inline void ixgbe_store32(void *p, size_t at, __m256i v)
{
    _mm256_storeu_si256((__m256i *)((uint8_t *)p + at), v);
}

/* The same 16 bytes of two mbufs. */
IXGBE_AVX2 static inline __m256i ixgbe_of_two(struct dp_mbuf *const *pkts, size_t at)
{
    return _mm256_inserti128_si256(_mm256_castsi128_si256(ixgbe_load16(pkts[0], at)), ixgbe_load16(pkts[1], at), 1);
}

/* Two packets: `heads` has rearm and ol_flags of each, `d` their descriptors. */
IXGBE_AVX2 static inline void ixgbe_avx2_fill(struct dp_mbuf **sw, __m256i heads, __m256i d)
{
    const __m256i type = _mm256_setr_epi32(HW_RXD_PKT_TYPE_MASK >> HW_RXD_PKT_TYPE_SHIFT, 0, 0, 0,
                                           HW_RXD_PKT_TYPE_MASK >> HW_RXD_PKT_TYPE_SHIFT, 0, 0, 0);
    const __m256i order = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(-1, -1, -1, -1, 12, 13, -1, -1, 12, 13, 14, 15, 4, 5, 6, 7)); /* as in sse42.h */
    const __m256i bodies = _mm256_or_si256(_mm256_shuffle_epi8(d, order),
                                           _mm256_and_si256(_mm256_srli_epi32(d, HW_RXD_PKT_TYPE_SHIFT), type));
    ixgbe_store32(sw[0], 16, _mm256_permute2x128_si256(heads, bodies, 0x20));
    ixgbe_store32(sw[1], 16, _mm256_permute2x128_si256(heads, bodies, 0x31));
}

IXGBE_AVX2 static uint32_t ixgbe_avx2_take(const union hw_rx_desc *ring, struct dp_mbuf **sw, struct dp_mbuf **pkts,
                                           uint32_t n, const struct ixgbe_rx_meta *meta)
{
    const __m256i seen = _mm256_broadcastsi128_si256(ixgbe_load16(meta->seen, 0));
    const __m256i allowed = _mm256_broadcastsi128_si256(ixgbe_load16(meta->allowed, 0));
    const __m256i hashed = _mm256_broadcastsi128_si256(ixgbe_load16(meta->hashed, 0));
    const __m256i rearm = _mm256_set1_epi64x((long long)meta->rearm), zero = _mm256_setzero_si256();
    const __m256i nibble = _mm256_set1_epi32(15), udp = _mm256_set1_epi32(4), byte = _mm256_set1_epi32(0xFF);
    uint32_t i;
    for (i = 0; i + 8 <= n; i += 8) {
        __m256i d01, d23, d45, d67, status, info, flags, low, high;
        /* With the last one all eight are there. */
        if (!(dp_read32(&ring[i + 7].wb.status) & HW_RXD_STAT_DD))
            break;
        dp_rmb(); /* nothing of the packets or the descriptors is read before DD was seen */
        d01 = ixgbe_load32(&ring[i], 0), d23 = ixgbe_load32(&ring[i + 2], 0);
        d45 = ixgbe_load32(&ring[i + 4], 0), d67 = ixgbe_load32(&ring[i + 6], 0);
        /* of packets 0 2 4 6 in the lower half, 1 3 5 7 in the upper */
        status = _mm256_unpacklo_epi64(_mm256_unpackhi_epi32(d01, d23), _mm256_unpackhi_epi32(d45, d67));
        info = _mm256_unpacklo_epi64(_mm256_unpacklo_epi32(d01, d23), _mm256_unpacklo_epi32(d45, d67));
        if (dp_unlikely(_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_slli_epi32(status, 30))) != 0xFF))
            break; /* one of them has no EOP */
        flags = _mm256_shuffle_epi8(allowed, _mm256_or_si256(_mm256_srli_epi32(status, 30),
                                                             _mm256_and_si256(_mm256_srli_epi32(info, 7), udp)));
        flags = _mm256_and_si256(flags, _mm256_shuffle_epi8(seen, _mm256_and_si256(_mm256_srli_epi32(status, 3), nibble)));
        flags = _mm256_and_si256(flags, _mm256_shuffle_epi8(hashed, _mm256_and_si256(info, nibble)));
        flags = _mm256_and_si256(flags, byte); /* what the look-ups found for the upper bytes of an index */
        low = _mm256_unpacklo_epi32(flags, zero), high = _mm256_unpackhi_epi32(flags, zero);
        for (int k = 0; k < 8; k++)
            dp_prefetch_write(sw[i + k + IXGBE_AHEAD / 2]);
        ixgbe_store32(pkts, i * 8, ixgbe_load32(sw, i * 8));
        ixgbe_store32(pkts, i * 8 + 32, ixgbe_load32(sw, i * 8 + 32));
        ixgbe_avx2_fill(sw + i, _mm256_unpacklo_epi64(rearm, low), d01);
        ixgbe_avx2_fill(sw + i + 2, _mm256_unpackhi_epi64(rearm, low), d23);
        ixgbe_avx2_fill(sw + i + 4, _mm256_unpacklo_epi64(rearm, high), d45);
        ixgbe_avx2_fill(sw + i + 6, _mm256_unpackhi_epi64(rearm, high), d67);
    }
    return i + ixgbe_sse42_take(ring + i, sw + i, pkts + i, n - i, meta);
}

/* As in sse42.h, two packets in an iteration. */
IXGBE_AVX2 static uint32_t ixgbe_avx2_put(union hw_tx_desc *ring, struct dp_mbuf **sw, struct dp_mbuf *const *pkts, uint32_t n,
                                          const struct ixgbe_tx_alike *alike, const struct dp_mempool *pool, uint64_t *mixed)
{
#define TWICE(high, low) _mm256_broadcastsi128_si256(_mm_set_epi64x((long long)(high), (long long)(low)))
    const __m256i kind = TWICE(IXGBE_TX_KIND, 0xFFFFull << 32), same = TWICE(alike->flags, 1ull << 32);
    const __m256i where = TWICE((uint64_t)alike->tag_mask << 16, 0), tag = TWICE((uint64_t)alike->tag << 16, 0);
    const __m256i heads = TWICE(-1ll, (uint64_t)alike->headers_mask << 32);
    const __m256i lengths = TWICE(pool, (uint64_t)alike->headers << 32);
    const __m256i shortest = TWICE(alike->shortest, 0), longest = TWICE(alike->longest, 0);
    const __m256i offset = TWICE(0, 0xFFFF), length = TWICE(0xFFFF, 0), command = TWICE(alike->command, 0);
    __m256i others = _mm256_setzero_si256();
    uint32_t i;
    for (i = 0; i + 4 <= n; i += 4) {
        __m256i odd = _mm256_setzero_si256(), strange = odd;
        for (int k = 0; k < 4; k += 2) {
            const __m256i address = ixgbe_of_two(pkts + i + k, 0), start = ixgbe_of_two(pkts + i + k, 16);
            const __m256i middle = ixgbe_of_two(pkts + i + k, 32), end = ixgbe_of_two(pkts + i + k, 48);
            const __m256i size = _mm256_and_si256(middle, length);
            __m256i word = _mm256_add_epi64(_mm256_bsrli_epi128(address, 8), _mm256_and_si256(start, offset));
            word = _mm256_add_epi64(word, _mm256_add_epi64(size, _mm256_slli_epi64(size, 32 + HW_TXD_PAYLEN_SHIFT)));
            ixgbe_store32(&ring[i + k], 0, _mm256_add_epi64(word, command)); /* this clears DD too */
            odd = _mm256_or_si256(odd, _mm256_xor_si256(_mm256_and_si256(start, kind), same));
            odd = _mm256_or_si256(odd, _mm256_and_si256(_mm256_xor_si256(middle, tag), where));
            odd = _mm256_or_si256(odd, _mm256_or_si256(_mm256_cmpgt_epi32(shortest, size), _mm256_cmpgt_epi32(size, longest)));
            strange = _mm256_or_si256(strange, _mm256_and_si256(_mm256_xor_si256(end, lengths), heads));
        }
        odd = _mm256_or_si256(odd, _mm256_blend_epi32(strange, _mm256_setzero_si256(), 0xCC));
        if (dp_unlikely(!_mm256_testz_si256(odd, odd)))
            break; /* the scalar form finds which, and overwrites the descriptors */
        others = _mm256_or_si256(others, strange);
        ixgbe_store32(sw, i * 8, ixgbe_load32(pkts, i * 8));
    }
#undef TWICE
    *mixed |= (uint64_t)_mm256_extract_epi64(others, 1) | (uint64_t)_mm256_extract_epi64(others, 3);
    _mm256_zeroupper(); /* gcc 12 forgets it here, and all SSE code of this thread would be slow from now on */
    return i + ixgbe_scalar_put(ring + i, sw + i, pkts + i, n - i, alike, pool, mixed);
}

#endif
