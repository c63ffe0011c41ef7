/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The kernels with vectors of 16 bytes: a descriptor, or a quarter of an mbuf's first line; four packets in an iteration.
 */
#ifndef IXGBE_SSE42_H
#define IXGBE_SSE42_H

#include <immintrin.h>

#include "scalar.h"

#define IXGBE_SSE42 __attribute__((target("sse4.2")))

IXGBE_SSE42 static inline __m128i ixgbe_load16(const void *p, size_t at)
{
    return _mm_loadu_si128((const __m128i *)((const uint8_t *)p + at));
}

IXGBE_SSE42 static inline void ixgbe_store16(void *p, size_t at, __m128i v)
{
    _mm_storeu_si128((__m128i *)((uint8_t *)p + at), v);
}

IXGBE_SSE42 static uint32_t ixgbe_sse42_take(const union hw_rx_desc *ring, struct dp_mbuf **sw, struct dp_mbuf **pkts,
                                             uint32_t n, const struct ixgbe_rx_meta *meta)
{
    const __m128i seen = ixgbe_load16(meta->seen, 0), allowed = ixgbe_load16(meta->allowed, 0);
    const __m128i hashed = ixgbe_load16(meta->hashed, 0), rearm = _mm_set1_epi64x((long long)meta->rearm);
    const __m128i nibble = _mm_set1_epi32(15), udp = _mm_set1_epi32(4), zero = _mm_setzero_si128();
    const __m128i type = _mm_setr_epi32(HW_RXD_PKT_TYPE_MASK >> HW_RXD_PKT_TYPE_SHIFT, 0, 0, 0);
    /* pkt_len; data_len and vlan_tci; rss_hash. Where 0xFF stands comes a 0; packet_type is put in afterwards. */
    const __m128i order = _mm_setr_epi8(-1, -1, -1, -1, 12, 13, -1, -1, 12, 13, 14, 15, 4, 5, 6, 7);
    uint32_t i;
    for (i = 0; i + 4 <= n; i += 4) {
        __m128i d0, d1, d2, d3, status, info, flags, low, high;
        /* With the last one all four are there. */
        if (!(dp_read32(&ring[i + 3].wb.status) & HW_RXD_STAT_DD))
            break;
        dp_rmb(); /* nothing of the packets or the descriptors is read before DD was seen */
        d0 = ixgbe_load16(&ring[i], 0), d1 = ixgbe_load16(&ring[i + 1], 0);
        d2 = ixgbe_load16(&ring[i + 2], 0), d3 = ixgbe_load16(&ring[i + 3], 0);
        status = _mm_unpacklo_epi64(_mm_unpackhi_epi32(d0, d1), _mm_unpackhi_epi32(d2, d3));
        info = _mm_unpacklo_epi64(_mm_unpacklo_epi32(d0, d1), _mm_unpacklo_epi32(d2, d3));
        if (dp_unlikely(_mm_movemask_ps(_mm_castsi128_ps(_mm_slli_epi32(status, 30))) != 15))
            break; /* one of them has no EOP */
        flags = _mm_shuffle_epi8(allowed, _mm_or_si128(_mm_srli_epi32(status, 30), _mm_and_si128(_mm_srli_epi32(info, 7), udp)));
        flags = _mm_and_si128(flags, _mm_shuffle_epi8(seen, _mm_and_si128(_mm_srli_epi32(status, 3), nibble)));
        flags = _mm_and_si128(flags, _mm_shuffle_epi8(hashed, _mm_and_si128(info, nibble)));
        flags = _mm_and_si128(flags, _mm_set1_epi32(0xFF)); /* what the look-ups found for the upper bytes of an index */
        low = _mm_unpacklo_epi32(flags, zero), high = _mm_unpackhi_epi32(flags, zero);
        for (int k = 0; k < 4; k++)
            dp_prefetch_write(sw[i + k + IXGBE_AHEAD / 2]);
        ixgbe_store16(pkts, i * 8, ixgbe_load16(sw, i * 8));
        ixgbe_store16(pkts, i * 8 + 16, ixgbe_load16(sw, i * 8 + 16));
#define BODY(d) _mm_or_si128(_mm_shuffle_epi8(d, order), _mm_and_si128(_mm_srli_epi32(d, HW_RXD_PKT_TYPE_SHIFT), type))
        ixgbe_store16(sw[i], 16, _mm_unpacklo_epi64(rearm, low)), ixgbe_store16(sw[i], 32, BODY(d0));
        ixgbe_store16(sw[i + 1], 16, _mm_unpackhi_epi64(rearm, low)), ixgbe_store16(sw[i + 1], 32, BODY(d1));
        ixgbe_store16(sw[i + 2], 16, _mm_unpacklo_epi64(rearm, high)), ixgbe_store16(sw[i + 2], 32, BODY(d2));
        ixgbe_store16(sw[i + 3], 16, _mm_unpackhi_epi64(rearm, high)), ixgbe_store16(sw[i + 3], 32, BODY(d3));
#undef BODY
    }
    return i + ixgbe_scalar_take(ring + i, sw + i, pkts + i, n - i, meta);
}

IXGBE_SSE42 static void ixgbe_sse42_arm(union hw_rx_desc *ring, struct dp_mbuf *const *sw, uint32_t n)
{
    const __m128i headroom = _mm_set_epi64x(0, DP_MBUF_HEADROOM);
    for (uint32_t i = 0; i < n; i++) /* a load of 8 bytes leaves the upper half 0: the header address, and DD */
        ixgbe_store16(&ring[i], 0, _mm_add_epi64(_mm_loadl_epi64((const __m128i *)&sw[i]->buf_iova), headroom));
}

/* Whatever differs in any of four packets from what `alike` says ends up as a 1 in `odd`. */
IXGBE_SSE42 static uint32_t ixgbe_sse42_put(union hw_tx_desc *ring, struct dp_mbuf **sw, struct dp_mbuf *const *pkts, uint32_t n,
                                            const struct ixgbe_tx_alike *alike, const struct dp_mempool *pool, uint64_t *mixed)
{
    const __m128i kind = _mm_set_epi64x((long long)IXGBE_TX_KIND, 0xFFFFll << 32); /* ol_flags and nb_segs */
    const __m128i same = _mm_set_epi64x((long long)alike->flags, 1ll << 32);
    const __m128i where = _mm_set_epi64x((long long)((uint64_t)alike->tag_mask << 16), 0);
    const __m128i tag = _mm_set_epi64x((long long)((uint64_t)alike->tag << 16), 0);
    /* of the last 16 bytes of the line: l2_len and l3_len, then the pool */
    const __m128i heads = _mm_set_epi64x(-1, (long long)((uint64_t)alike->headers_mask << 32));
    const __m128i lengths = _mm_set_epi64x((long long)pool, (long long)((uint64_t)alike->headers << 32));
    const __m128i shortest = _mm_set_epi64x(alike->shortest, 0), longest = _mm_set_epi64x(alike->longest, 0);
    const __m128i offset = _mm_set_epi64x(0, 0xFFFF), length = _mm_set_epi64x(0xFFFF, 0);
    const __m128i command = _mm_set_epi64x((long long)alike->command, 0);
    __m128i others = _mm_setzero_si128();
    uint32_t i;
    for (i = 0; i + 4 <= n; i += 4) {
        __m128i odd = _mm_setzero_si128(), strange = odd;
        for (int k = 0; k < 4; k++) {
            const struct dp_mbuf *m = pkts[i + k];
            __m128i start = ixgbe_load16(m, 16), middle = ixgbe_load16(m, 32), end = ixgbe_load16(m, 48), size, word;
            size = _mm_and_si128(middle, length);
            word = _mm_add_epi64(_mm_bsrli_si128(ixgbe_load16(m, 0), 8), _mm_and_si128(start, offset));
            word = _mm_add_epi64(word, _mm_add_epi64(size, _mm_slli_epi64(size, 32 + HW_TXD_PAYLEN_SHIFT)));
            ixgbe_store16(&ring[i + k], 0, _mm_add_epi64(word, command)); /* this clears DD too */
            odd = _mm_or_si128(odd, _mm_xor_si128(_mm_and_si128(start, kind), same));
            odd = _mm_or_si128(odd, _mm_and_si128(_mm_xor_si128(middle, tag), where));
            odd = _mm_or_si128(odd, _mm_or_si128(_mm_cmpgt_epi32(shortest, size), _mm_cmpgt_epi32(size, longest)));
            strange = _mm_or_si128(strange, _mm_and_si128(_mm_xor_si128(end, lengths), heads));
        }
        odd = _mm_or_si128(odd, _mm_move_epi64(strange));
        if (dp_unlikely(!_mm_testz_si128(odd, odd)))
            break; /* the scalar form finds which, and overwrites the descriptors */
        others = _mm_or_si128(others, strange);
        ixgbe_store16(sw, i * 8, ixgbe_load16(pkts, i * 8));
        ixgbe_store16(sw, i * 8 + 16, ixgbe_load16(pkts, i * 8 + 16));
    }
    *mixed |= (uint64_t)_mm_extract_epi64(others, 1);
    return i + ixgbe_scalar_put(ring + i, sw + i, pkts + i, n - i, alike, pool, mixed);
}

#endif
