# SPDX-License-Identifier: BSD-3-Clause
"""The C header as Cython sees it, and which lcore this thread is."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t


cdef extern from "dataplane.h" nogil:
    uint64_t tsc "dp_tsc" ()
    void pause "dp_pause" ()
    void rmb "dp_rmb" ()
    void wmb "dp_wmb" ()
    void mb "dp_mb" ()
    void prefetch "dp_prefetch" (const volatile void *p)
    void prefetch_write "dp_prefetch_write" (const volatile void *p)
    uint32_t read32 "dp_read32" (const volatile uint32_t *p)
    void write32 "dp_write32" (volatile uint32_t *p, uint32_t v)
    uint64_t read64 "dp_read64" (const volatile uint64_t *p)
    void write64 "dp_write64" (volatile uint64_t *p, uint64_t v)
    uint32_t load_acquire "dp_load_acquire" (const volatile uint32_t *p)
    void store_release "dp_store_release" (volatile uint32_t *p, uint32_t v)
    int cas "dp_cas" (volatile uint32_t *p, uint32_t expected, uint32_t v)
    uint64_t add64 "dp_add64" (volatile uint64_t *p, uint64_t v)
    void lock "dp_lock" (volatile uint32_t *p)
    void unlock "dp_unlock" (volatile uint32_t *p)
    int likely "dp_likely" (int condition)
    int unlikely "dp_unlikely" (int condition)
    enum:
        CACHE_LINE "DP_CACHE_LINE"
        MAX_LCORE "DP_MAX_LCORE"
        LCORE_NONE "DP_LCORE_NONE"


# The number of this thread as an lcore, 0 .. MAX_LCORE - 1, or LCORE_NONE.
cdef unsigned int lcore_id() noexcept nogil
