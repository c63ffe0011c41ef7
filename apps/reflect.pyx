# SPDX-License-Identifier: BSD-3-Clause
"""Reflect: swaps the MAC addresses of every frame, which sends it back. It is the compiled form of MacSwap."""

from libc.stdint cimport uint16_t, uint32_t

from dataplane.app cimport App, pass_on
from dataplane.mbuf cimport mbuf

ctypedef void (*swapper)(mbuf **pkts, uint32_t n) noexcept nogil

cdef extern from *:
    """
    #include <string.h>
    #include "dataplane.h"

    /* Destination (6 bytes) and source (6 bytes) change places: twelve bytes, turned by six. A shorter frame stays as it is. */
    static inline void reflect_one(struct dp_mbuf *m)
    {
        uint8_t *frame = (uint8_t *)m->buf_addr + m->data_off;
        uint64_t first, turned;
        uint32_t last;
        if (m->data_len < 12)
            return;
        memcpy(&first, frame, 8);
        memcpy(&last, frame + 8, 4);
        turned = first >> 48 | (uint64_t)last << 16 | first << 48;
        last = (uint32_t)(first >> 16);
        memcpy(frame, &turned, 8);
        memcpy(frame + 8, &last, 4);
    }

    static void reflect_plain(struct dp_mbuf **pkts, uint32_t n)
    {
        for (uint32_t i = 0; i < n; i++)
            reflect_one(pkts[i]);
    }

    #if defined(__x86_64__)
    #include <tmmintrin.h>

    /* Sixteen bytes at a time: the last four stay. */
    __attribute__((target("ssse3"))) static void reflect_ssse3(struct dp_mbuf **pkts, uint32_t n)
    {
        const __m128i turn = _mm_setr_epi8(6, 7, 8, 9, 10, 11, 0, 1, 2, 3, 4, 5, 12, 13, 14, 15);
        #pragma GCC unroll 4
        for (uint32_t i = 0; i < n; i++) {
            __m128i *frame = (__m128i *)((uint8_t *)pkts[i]->buf_addr + pkts[i]->data_off);
            if (dp_likely(pkts[i]->data_len >= 16))
                _mm_storeu_si128(frame, _mm_shuffle_epi8(_mm_loadu_si128(frame), turn));
            else
                reflect_one(pkts[i]);
        }
    }
    #define REFLECT_BEST (__builtin_cpu_supports("ssse3") ? reflect_ssse3 : reflect_plain)
    #else
    #define REFLECT_BEST reflect_plain
    #endif
    """
    swapper reflect_plain
    swapper REFLECT_BEST


cdef class Reflect(App):
    """Swaps source and destination address; a frame too short for both (in its first segment) stays as it is."""
    edges = ("out",)

    cdef swapper swap

    def __cinit__(self, *arguments, **keywords):
        self.swap = REFLECT_BEST

    def __init__(self, *, bint simd=True):
        self.swap = REFLECT_BEST if simd else reflect_plain

    def clone(self):
        """One with the same loop."""
        return type(self)(simd=self.swap != reflect_plain)

    cdef void push(self, mbuf **pkts, uint16_t n) noexcept nogil:
        self.swap(pkts, n)
        pass_on(self, 0, pkts, n)
