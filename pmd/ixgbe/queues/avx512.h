/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The kernels with vectors of 64 bytes: four descriptors, or the first line of an mbuf; sixteen packets read in an iteration, four written.
 * The rest goes to the narrower ones.
 */
#ifndef IXGBE_AVX512_H
#define IXGBE_AVX512_H

#include "avx2.h"

#define IXGBE_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq")))

IXGBE_AVX512 static inline __m512i ixgbe_load64(const void *p, size_t at) { return _mm512_loadu_si512((const uint8_t *)p + at); }

/* Four packets: `heads` has rearm and ol_flags of each, `d` their descriptors. */
IXGBE_AVX512 static inline void ixgbe_avx512_fill(struct dp_mbuf **sw, __m512i heads, __m512i d)
{
    const __m512i order = _mm512_broadcast_i32x4(
        _mm_setr_epi8(-1, -1, -1, -1, 12, 13, -1, -1, 12, 13, 14, 15, 4, 5, 6, 7)); /* as in sse42.h */
    const __m512i bodies = _mm512_mask_and_epi32(_mm512_shuffle_epi8(d, order), 0x1111, _mm512_srli_epi32(d, HW_RXD_PKT_TYPE_SHIFT),
                                                 _mm512_set1_epi32(HW_RXD_PKT_TYPE_MASK >> HW_RXD_PKT_TYPE_SHIFT));
    const __m512i a = _mm512_permutex2var_epi64(heads, _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11), bodies);
    const __m512i b = _mm512_permutex2var_epi64(heads, _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15), bodies);
    ixgbe_store32(sw[0], 16, _mm512_castsi512_si256(a)), ixgbe_store32(sw[1], 16, _mm512_extracti64x4_epi64(a, 1));
    ixgbe_store32(sw[2], 16, _mm512_castsi512_si256(b)), ixgbe_store32(sw[3], 16, _mm512_extracti64x4_epi64(b, 1));
}

IXGBE_AVX512 static uint32_t ixgbe_avx512_take(const union hw_rx_desc *ring, struct dp_mbuf **sw, struct dp_mbuf **pkts,
                                               uint32_t n, const struct ixgbe_rx_meta *meta)
{
    const __m512i seen = _mm512_broadcast_i32x4(ixgbe_load16(meta->seen, 0));
    const __m512i allowed = _mm512_broadcast_i32x4(ixgbe_load16(meta->allowed, 0));
    const __m512i hashed = _mm512_broadcast_i32x4(ixgbe_load16(meta->hashed, 0));
    const __m512i rearm = _mm512_set1_epi64((long long)meta->rearm), zero = _mm512_setzero_si512();
    const __m512i nibble = _mm512_set1_epi32(15), udp = _mm512_set1_epi32(4), byte = _mm512_set1_epi32(0xFF);
    uint32_t i;
    for (i = 0; i + 16 <= n; i += 16) {
        __m512i d0, d4, d8, d12, status, info, flags, low, high;
        /* With the last one all sixteen are there. */
        if (!(dp_read32(&ring[i + 15].wb.status) & HW_RXD_STAT_DD))
            break;
        dp_rmb(); /* nothing of the packets or the descriptors is read before DD was seen */
        d0 = ixgbe_load64(&ring[i], 0), d4 = ixgbe_load64(&ring[i + 4], 0);
        d8 = ixgbe_load64(&ring[i + 8], 0), d12 = ixgbe_load64(&ring[i + 12], 0);
        /* of packets 0 4 8 12 in the first quarter, 1 5 9 13 in the second, ... */
        status = _mm512_unpacklo_epi64(_mm512_unpackhi_epi32(d0, d4), _mm512_unpackhi_epi32(d8, d12));
        info = _mm512_unpacklo_epi64(_mm512_unpacklo_epi32(d0, d4), _mm512_unpacklo_epi32(d8, d12));
        if (dp_unlikely(_mm512_testn_epi32_mask(status, _mm512_set1_epi32(HW_RXD_STAT_EOP))))
            break; /* one of them has no EOP */
        flags = _mm512_shuffle_epi8(allowed, _mm512_or_si512(_mm512_srli_epi32(status, 30),
                                                             _mm512_and_si512(_mm512_srli_epi32(info, 7), udp)));
        flags = _mm512_and_si512(flags, _mm512_shuffle_epi8(seen, _mm512_and_si512(_mm512_srli_epi32(status, 3), nibble)));
        flags = _mm512_and_si512(flags, _mm512_shuffle_epi8(hashed, _mm512_and_si512(info, nibble)));
        flags = _mm512_and_si512(flags, byte); /* what the look-ups found for the upper bytes of an index */
        low = _mm512_unpacklo_epi32(flags, zero), high = _mm512_unpackhi_epi32(flags, zero);
        for (int k = 0; k < 16; k++)
            dp_prefetch_write(sw[i + k + IXGBE_AHEAD]);
        _mm512_storeu_si512(pkts + i, ixgbe_load64(sw + i, 0));
        _mm512_storeu_si512(pkts + i + 8, ixgbe_load64(sw + i, 64));
        ixgbe_avx512_fill(sw + i, _mm512_unpacklo_epi64(rearm, low), d0);
        ixgbe_avx512_fill(sw + i + 4, _mm512_unpackhi_epi64(rearm, low), d4);
        ixgbe_avx512_fill(sw + i + 8, _mm512_unpacklo_epi64(rearm, high), d8);
        ixgbe_avx512_fill(sw + i + 12, _mm512_unpackhi_epi64(rearm, high), d12);
    }
    return i + ixgbe_avx2_take(ring + i, sw + i, pkts + i, n - i, meta);
}

/* As in sse42.h, four packets at once: their lines are loaded whole, and 4 x 4 quarters transposed. */
IXGBE_AVX512 static uint32_t ixgbe_avx512_put(union hw_tx_desc *ring, struct dp_mbuf **sw, struct dp_mbuf *const *pkts, uint32_t n,
                                              const struct ixgbe_tx_alike *alike, const struct dp_mempool *pool, uint64_t *mixed)
{
#define FOUR(high, low) _mm512_broadcast_i32x4(_mm_set_epi64x((long long)(high), (long long)(low)))
    const __m512i kind = FOUR(IXGBE_TX_KIND, 0xFFFFull << 32), same = FOUR(alike->flags, 1ull << 32);
    const __m512i where = FOUR((uint64_t)alike->tag_mask << 16, 0), tag = FOUR((uint64_t)alike->tag << 16, 0);
    const __m512i heads = FOUR(-1ll, (uint64_t)alike->headers_mask << 32);
    const __m512i lengths = FOUR(pool, (uint64_t)alike->headers << 32);
    const __m512i shortest = FOUR(alike->shortest, 0), longest = FOUR(alike->longest, 0);
    const __m512i offset = FOUR(0, 0xFFFF), length = FOUR(0xFFFF, 0), command = FOUR(alike->command, 0);
    const __mmask8 pools = 0xAA; /* the upper eight bytes of each quarter */
    __m512i others = _mm512_setzero_si512();
    uint32_t i;
    for (i = 0; i + 4 <= n; i += 4) {
        const __m512i line0 = ixgbe_load64(pkts[i], 0), line1 = ixgbe_load64(pkts[i + 1], 0);
        const __m512i line2 = ixgbe_load64(pkts[i + 2], 0), line3 = ixgbe_load64(pkts[i + 3], 0);
        const __m512i half0 = _mm512_shuffle_i64x2(line0, line1, 0x44), half1 = _mm512_shuffle_i64x2(line2, line3, 0x44);
        const __m512i half2 = _mm512_shuffle_i64x2(line0, line1, 0xEE), half3 = _mm512_shuffle_i64x2(line2, line3, 0xEE);
        const __m512i address = _mm512_shuffle_i64x2(half0, half1, 0x88), start = _mm512_shuffle_i64x2(half0, half1, 0xDD);
        const __m512i middle = _mm512_shuffle_i64x2(half2, half3, 0x88), end = _mm512_shuffle_i64x2(half2, half3, 0xDD);
        const __m512i size = _mm512_and_si512(middle, length);
        const __m512i strange = _mm512_and_si512(_mm512_xor_si512(end, lengths), heads);
        __m512i word = _mm512_add_epi64(_mm512_bsrli_epi128(address, 8), _mm512_and_si512(start, offset)), odd;
        word = _mm512_add_epi64(word, _mm512_add_epi64(size, _mm512_slli_epi64(size, 32 + HW_TXD_PAYLEN_SHIFT)));
        odd = _mm512_xor_si512(_mm512_and_si512(start, kind), same);
        odd = _mm512_or_si512(odd, _mm512_and_si512(_mm512_xor_si512(middle, tag), where));
        odd = _mm512_or_si512(odd, _mm512_mask_blend_epi64(pools, strange, _mm512_setzero_si512()));
        if (dp_unlikely(_mm512_test_epi64_mask(odd, odd) | _mm512_cmpgt_epi64_mask(shortest, size)
                        | _mm512_cmpgt_epi64_mask(size, longest)))
            break; /* the scalar form finds which */
        others = _mm512_or_si512(others, strange);
        _mm512_storeu_si512(&ring[i], _mm512_add_epi64(word, command)); /* this clears DD too */
        ixgbe_store32(sw, i * 8, ixgbe_load32(pkts, i * 8));
    }
#undef FOUR
    *mixed |= (uint64_t)_mm512_mask_reduce_or_epi64(pools, others);
    _mm256_zeroupper(); /* gcc 12 forgets it here, and all SSE code of this thread would be slow from now on */
    return i + ixgbe_scalar_put(ring + i, sw + i, pkts + i, n - i, alike, pool, mixed);
}

#endif
