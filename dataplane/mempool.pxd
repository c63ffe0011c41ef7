# SPDX-License-Identifier: BSD-3-Clause
"""Mempool: mbufs cut from an arena, handed out last in, first out, through a cache for each lcore."""

from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from dataplane.machine cimport LCORE_NONE, lcore_id, unlikely
from dataplane.mbuf cimport cache_t, mbuf, mempool_t


cdef extern from "dataplane.h" nogil:
    enum:
        CACHE_SIZE "DP_CACHE_SIZE"
        CACHE_FLUSH "DP_CACHE_FLUSH"
        CACHE_ROOM "DP_CACHE_ROOM"


# The ways round the cache: refill, flush, no lcore, larger than the cache, debug. 0, or -1 and nothing was taken.
cdef int alloc_slow(mempool_t *pool, mbuf **pkts, uint32_t n, uint32_t lcore) noexcept nogil
cdef void free_slow(mempool_t *pool, mbuf **pkts, uint32_t n, uint32_t lcore) noexcept nogil


cdef inline int alloc_bulk(mempool_t *pool, mbuf **pkts, uint32_t n) noexcept nogil:
    """Take n mbufs, or none. Returns 0, or -1 when the pool has fewer (counted as one failure).

    They come as single segments with `next` NULL; data_off, lengths and flags are the caller's to set (`rearm`).
    """
    cdef uint32_t lcore = lcore_id()
    cdef cache_t *cache
    if unlikely(lcore == LCORE_NONE or pool.debug):
        return alloc_slow(pool, pkts, n, lcore)
    cache = &pool.caches[lcore]
    if unlikely(cache.len < n):
        return alloc_slow(pool, pkts, n, lcore)
    cache.len -= n
    memcpy(pkts, &cache.objs[cache.len], n * sizeof(mbuf *))
    return 0


cdef inline void free_bulk(mempool_t *pool, mbuf **pkts, uint32_t n) noexcept nogil:
    """Give back n segments of this pool. Their `next` must be NULL: `free_packets` frees whole packets."""
    cdef uint32_t lcore = lcore_id()
    cdef cache_t *cache
    if unlikely(lcore == LCORE_NONE or pool.debug):
        free_slow(pool, pkts, n, lcore)
        return
    cache = &pool.caches[lcore]
    if unlikely(cache.len + n > CACHE_FLUSH):
        free_slow(pool, pkts, n, lcore)
        return
    memcpy(&cache.objs[cache.len], pkts, n * sizeof(mbuf *))
    cache.len += n


# Free packets of any pools and any number of segments.
cdef void free_packets(mbuf **pkts, uint32_t n) noexcept nogil


cdef class Mempool:
    cdef mempool_t *pool
    cdef readonly object arena
    cdef readonly str name
    cdef object _block
    cdef size_t _base, _end, _page_elements  # addresses of its mbufs, and how many are in 2 MiB
    cdef bint _over  # every mbuf is back, and none can be taken any more
    cdef object __weakref__

    cdef int64_t _index_of(self, size_t address) noexcept
    cdef bytearray _free_map(self)
    cdef void _mark(self, unsigned char *at, mbuf **pkts, uint32_t n) noexcept


# The living Mempool of a C pool, or None.
cdef Mempool pool_of(mempool_t *pool)

# Free packets that came from Python as addresses. Raises MempoolError, before anything is freed, for what is no mbuf of a living
# pool, or a free one. whose: the pool that all of them must be of, None: any.
cdef int free_checked(list addresses, Mempool whose) except -1
