# SPDX-License-Identifier: BSD-3-Clause
"""Mempool: mbufs cut from an arena, handed out last in, first out, through a cache for each lcore.

An mbuf has one owner, so nothing is counted when it is freed and a free does not read the mbuf.
"""

import sys
import weakref
from operator import index

from libc.stdint cimport UINT16_MAX, int64_t, uint8_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset
from posix.stdlib cimport posix_memalign

from dataplane.machine cimport CACHE_LINE, MAX_LCORE, add64, lock, unlock
from dataplane.mbuf cimport MBUF_DATA_ROOM, MBUF_HEADER, MBUF_HEADROOM, rearm

from dataplane.errors import ConfigError, MemoryExhausted, MempoolError
from dataplane.memory.hugepage import Arena


cdef extern from "dataplane.h" nogil:
    enum:
        STATE_FREE "DP_STATE_FREE"
        STATE_USED "DP_STATE_USED"

cdef enum:
    POISON = 0x6B  # fills the data room of a debug pool's free mbufs

HUGE_PAGE = 2 << 20
CACHE_MOST = CACHE_FLUSH
"""Mbufs that the cache of one lcore keeps at most between two bursts."""

# A C variable: when the interpreter ends, the globals of Arena's module may be gone before the last pool.
cdef object _is_finalizing = sys.is_finalizing

# By the address of the C pool: a weak reference to each Mempool. A C variable, as pools outlive the module at the end.
cdef dict _alive = {}
# Pools without a reference that have mbufs in use (by a NIC, a ring): their memory must stay.
cdef set _orphans = set()


def pools():
    """Every Mempool there is, in no order: what a leak check looks at. Also those that only their mbufs keep alive."""
    _bury()
    return [pool for pool in [reference() for reference in list(_alive.values())] if pool is not None]


cdef _bury():
    """Let go of the orphans whose mbufs have all come home."""
    cdef Mempool pool
    for pool in list(_orphans):
        if _free_in(pool.pool) == pool.pool.n:
            _orphans.discard(pool)


cdef uint32_t _free_in(mempool_t *pool) noexcept:
    cdef uint32_t total = pool.len, i
    for i in range(MAX_LCORE):
        total += pool.caches[i].len
    return total


cdef Mempool pool_of(mempool_t *pool):
    reference = _alive.get(<size_t> pool)
    return None if reference is None else reference()


cdef int free_checked(list addresses, Mempool whose) except -1:
    cdef Mempool pool
    cdef mbuf *m
    cdef size_t address
    cdef int64_t at
    cdef dict maps = {}  # by pool: a byte for each mbuf, 1 if it is free or to be freed
    everyone = pools()
    for given in addresses:
        address, first = given, whose
        while True:
            for pool in everyone if first is None else (first,):
                at = pool._index_of(address)
                if at >= 0:
                    break
            else:
                raise MempoolError(_stranger(address, first, everyone))
            if pool not in maps:
                maps[pool] = pool._free_map()
            if (<bytearray> maps[pool])[at]:
                raise MempoolError(f"{pool.name}: the mbuf at {address:#x} is free already: give each back once")
            (<bytearray> maps[pool])[at] = 1
            if (<mbuf *> address).next == NULL:
                break
            address, first = <size_t> (<mbuf *> address).next, None  # the segments of a chain may be of several pools
    for given in addresses:
        m = <mbuf *> <size_t> given
        free_packets(&m, 1)
    return 0


def _stranger(address, whose, everyone):
    """The error message for an address that is no mbuf of pool `whose`, or of any pool."""
    cdef Mempool pool
    for pool in everyone:
        if pool._index_of(address) >= 0:
            return f"the mbuf at {address:#x} is of {pool!r}, not of {whose!r}: give it to its own pool"
    return f"no mbuf begins at address {address:#x}: give back what take() returned"


cdef bint _take(mempool_t *pool, mbuf **pkts, uint32_t n) noexcept nogil:
    """n mbufs from the stack, or none."""
    cdef bint enough
    lock(&pool.lock)
    enough = pool.len >= n
    if enough:
        pool.len -= n
        memcpy(pkts, &pool.stack[pool.len], n * sizeof(mbuf *))
    unlock(&pool.lock)
    return enough


cdef void _give(mempool_t *pool, mbuf **pkts, uint32_t n) noexcept nogil:
    lock(&pool.lock)
    memcpy(&pool.stack[pool.len], pkts, n * sizeof(mbuf *))
    pool.len += n
    unlock(&pool.lock)


cdef int alloc_slow(mempool_t *pool, mbuf **pkts, uint32_t n, uint32_t lcore) noexcept nogil:
    cdef cache_t *cache
    if lcore != LCORE_NONE and not pool.debug:
        cache = &pool.caches[lcore]
        if n <= CACHE_SIZE and _take(pool, &cache.objs[cache.len], CACHE_SIZE + n - cache.len):
            cache.len = CACHE_SIZE + n
        if cache.len >= n:
            cache.len -= n
            memcpy(pkts, &cache.objs[cache.len], n * sizeof(mbuf *))
            return 0
        # More than a cache is for, or too few left for a whole refill: all that it holds and the rest from the stack.
        if _take(pool, pkts + cache.len, n - cache.len):
            memcpy(pkts, cache.objs, cache.len * sizeof(mbuf *))
            cache.len = 0
            return 0
    elif _take(pool, pkts, n):
        if pool.debug:
            _debug_taken(pool, pkts, n)
        return 0
    add64(&pool.alloc_failures, 1)
    return -1


cdef void free_slow(mempool_t *pool, mbuf **pkts, uint32_t n, uint32_t lcore) noexcept nogil:
    cdef cache_t *cache
    if pool.debug:
        n = _debug_given(pool, pkts, n)
    if lcore == LCORE_NONE or pool.debug or n > CACHE_SIZE:
        _give(pool, pkts, n)
        return
    # The oldest go back to the stack, the newest (hot) ones stay.
    cache = &pool.caches[lcore]
    _give(pool, cache.objs, cache.len)
    memcpy(cache.objs, pkts, n * sizeof(mbuf *))
    cache.len = n


cdef void _debug_taken(mempool_t *pool, mbuf **pkts, uint32_t n) noexcept nogil:
    cdef uint8_t *room
    cdef uint32_t i, k
    for i in range(n):
        room = <uint8_t *> pkts[i].buf_addr
        for k in range(MBUF_HEADROOM, MBUF_HEADROOM + pool.data_room):
            if room[k] != POISON:
                add64(&pool.corruptions, 1)  # written to after it was freed
                break
        pkts[i].state = STATE_USED


cdef uint32_t _debug_given(mempool_t *pool, mbuf **pkts, uint32_t n) noexcept nogil:
    """Check and poison; what fails is counted and kept out of the pool. Returns how many are left in `pkts`."""
    cdef uint32_t i, kept = 0
    cdef mbuf *m
    for i in range(n):
        m = pkts[i]
        if m.state != STATE_USED or m.pool != pool or m.next != NULL:
            add64(&pool.corruptions, 1)
            continue
        m.state = STATE_FREE
        memset(<uint8_t *> m.buf_addr + MBUF_HEADROOM, POISON, pool.data_room)
        pkts[kept] = m
        kept += 1
    return kept


cdef void free_packets(mbuf **pkts, uint32_t n) noexcept nogil:
    """Runs of single segments of one pool go back in bulk; chains segment by segment."""
    cdef mbuf *batch[64]
    cdef uint32_t i, filled = 0
    cdef mempool_t *pool = NULL
    cdef mbuf *m
    cdef mbuf *following
    for i in range(n):
        m = pkts[i]
        while m != NULL:
            following = m.next
            if filled == 64 or m.pool != pool:
                if filled:
                    free_bulk(pool, batch, filled)
                pool = m.pool
                filled = 0
            if following != NULL:
                m.next = NULL
            batch[filled] = m
            filled += 1
            m = following
    if filled:
        free_bulk(pool, batch, filled)


cdef class Mempool:
    """A pool of `n` mbufs with `data_room` bytes of data each (beside 128 of header and 128 of headroom).

    n: how many; data_room: bytes, a multiple of 64, at most 16,384 (SRRCTL counts Rx buffers in KiB, so an Rx pool wants
    whole KiB: 2048 by default). arena: where to cut them from, None for one of its own. debug: checks against
    double frees, foreign mbufs and writes after a free, at about a microsecond an mbuf; `check()` reports.
    Raises ConfigError and MemoryExhausted.
    """

    def __cinit__(self, n=8192, *, data_room=MBUF_DATA_ROOM, arena=None, hugepages="auto", debug=False, name="mempool"):
        cdef uint32_t i
        cdef mbuf *m
        n, data_room = index(n), index(data_room)
        if not 1 <= n <= 1 << 24:
            raise ConfigError(f"a mempool of {n} mbufs: must be 1 to {1 << 24}")
        if data_room % 64 or not 64 <= data_room <= 16384:
            raise ConfigError(f"a data room of {data_room} bytes: must be a multiple of 64 from 64 to 16384")
        element = MBUF_HEADER + MBUF_HEADROOM + data_room
        # One more cache line, so that code that works in words may touch some bytes behind the room. An odd number of lines
        # spreads the headers of a pool over all sets of a cache.
        element = element + CACHE_LINE | CACHE_LINE
        per_page = HUGE_PAGE // element  # none straddles a huge page: its bytes have one IOVA
        pages = -(-n // per_page)
        size = pages * HUGE_PAGE if pages > 1 else n * element
        self.name = str(name)
        if arena is not None and not isinstance(arena, Arena):
            raise ConfigError(f"arena={arena!r}: expected an Arena, or None for one of the pool's own")
        _bury()
        self.arena = arena if arena is not None else Arena(size, hugepages=hugepages, name=self.name)
        self._block = self.arena.alloc(size, align=min(HUGE_PAGE, self.arena.page_size), name=self.name, user=self)
        cdef void *memory = NULL
        if posix_memalign(&memory, CACHE_LINE, sizeof(mempool_t)):
            raise MemoryError("no memory for a mempool's caches")
        memset(memory, 0, sizeof(mempool_t))
        self.pool = <mempool_t *> memory
        if posix_memalign(&memory, CACHE_LINE, n * sizeof(mbuf *)):
            raise MemoryError("no memory for a mempool's stack")
        self.pool.stack = <mbuf **> memory
        self.pool.n = n
        self.pool.debug = bool(debug)
        self.pool.data_room = data_room
        self.pool.elt_size = element
        cdef size_t base = self._block.address, page, at, first_iova = 0
        cdef size_t elements = per_page, stride = element
        for i in range(n):
            page = i // elements
            at = page * HUGE_PAGE + i % elements * stride
            if i % elements == 0:
                first_iova = self.arena.iova_of(base + at)
            m = <mbuf *> (base + at)
            memset(m, 0, MBUF_HEADER)
            m.buf_addr = <uint8_t *> m + MBUF_HEADER
            m.buf_iova = first_iova + i % elements * stride + MBUF_HEADER
            m.buf_len = <uint16_t> min(MBUF_HEADROOM + data_room, UINT16_MAX)
            m.pool = self.pool
            m.state = STATE_FREE
            rearm(m, 0)
            if self.pool.debug:
                memset(<uint8_t *> m.buf_addr + MBUF_HEADROOM, POISON, data_room)
            self.pool.stack[n - 1 - i] = m  # the first to go out is the first in memory
        self.pool.len = n
        self._base, self._page_elements, self._end = base, elements, base + size
        _alive[<size_t> self.pool] = weakref.ref(self)

    def __del__(self):
        # Here and not in __dealloc__, because arena and block may be in pieces by then when a cycle is collected.
        if self._block is None:
            return
        if _is_finalizing():
            return  # a thread that could not be stopped may still take from it
        self._over = self._end == 0 or _free_in(self.pool) == self.pool.n
        if self._over:
            self.arena.free_from_finalizer(self._block)
        else:
            # A NIC or a ring owns mbufs: keep the memory, and so the pool, until they are back.
            _orphans.add(self)
            _alive[<size_t> self.pool] = weakref.ref(self)

    def __dealloc__(self):
        if self.pool == NULL or _is_finalizing():
            return
        _alive.pop(<size_t> self.pool, None)
        if not self._over and _free_in(self.pool) == self.pool.n:
            # An orphan whose mbufs are back: its __del__ was called when it became one.
            self._over = True
            if self.arena is not None and self._block is not None:
                self.arena.free_from_finalizer(self._block)
        if self._over:
            free(self.pool.stack)
            free(self.pool)

    cdef int64_t _index_of(self, size_t address) noexcept:
        """The number of the mbuf that begins at that address, -1: none of this pool does."""
        cdef size_t offset = address - self._base, within, number
        if not self._base <= address < self._end:
            return -1
        within = offset % HUGE_PAGE
        number = within // self.pool.elt_size
        if within % self.pool.elt_size or number >= self._page_elements:
            return -1
        number += offset // HUGE_PAGE * self._page_elements
        return <int64_t> number if number < self.pool.n else -1

    cdef bytearray _free_map(self):
        """A byte for each mbuf, 1 if it is free. Exact only while no lcore runs."""
        cdef bytearray found = bytearray(self.pool.n)
        cdef unsigned char *at = <unsigned char *> found
        cdef uint32_t k
        lock(&self.pool.lock)
        self._mark(at, self.pool.stack, self.pool.len)
        unlock(&self.pool.lock)
        for k in range(MAX_LCORE):
            self._mark(at, self.pool.caches[k].objs, min(self.pool.caches[k].len, <uint32_t> CACHE_ROOM))
        return found

    cdef void _mark(self, unsigned char *at, mbuf **pkts, uint32_t n) noexcept:
        cdef uint32_t i
        cdef int64_t number
        for i in range(n):
            number = self._index_of(<size_t> pkts[i])
            if number >= 0:
                at[number] = 1

    @property
    def n(self):
        """Mbufs in all."""
        return self.pool.n

    @property
    def data_room(self):
        """Bytes of data a segment holds."""
        return self.pool.data_room

    @property
    def available(self):
        """Free mbufs: on the stack and in the caches. Exact only while no lcore runs."""
        return _free_in(self.pool)

    @property
    def in_use(self):
        """Mbufs that are taken and not freed. Exact only while no lcore runs."""
        return self.n - self.available

    @property
    def alloc_failures(self):
        """How often `alloc_bulk` found fewer mbufs than it was asked for."""
        return self.pool.alloc_failures

    @property
    def caches(self):
        """Lcores that have or had mbufs of this pool in a cache: each may keep up to `CACHE_MOST` back from the others."""
        return sum(1 for i in range(MAX_LCORE) if self.pool.caches[<int> i].len)

    def take(self, uint32_t n):
        """Take n mbufs in Python: their addresses, for tests and control code. Raises MemoryExhausted, and takes none."""
        if n > self.pool.n:
            raise MemoryExhausted(f"{self.name} has no {n} mbufs: {self.available} of {self.n} are free")
        cdef mbuf **pkts = <mbuf **> malloc((n or 1) * sizeof(mbuf *))
        if pkts == NULL:
            raise MemoryError()
        try:
            if alloc_bulk(self.pool, pkts, n):
                raise MemoryExhausted(f"{self.name} has no {n} free mbufs: {self.available} of {self.n} are free")
            try:
                return [<size_t> pkts[i] for i in range(n)]
            except MemoryError:  # for the list
                free_packets(pkts, n)
                raise
        finally:
            free(pkts)

    def give(self, addresses):
        """Give back what `take` returned, packet by packet (of one segment or several).

        Raises MempoolError, and frees none, when one is not of this pool or is free already.
        """
        free_checked(list(addresses), self)

    def check(self):
        """Raise MempoolError if this debug pool found a double free, a foreign mbuf or a write after a free."""
        if self.pool.corruptions:
            raise MempoolError(
                f"{self.name}: {self.pool.corruptions} mbufs were freed twice, freed to a pool that is not theirs, freed "
                "with a segment chained, or written to after they were freed: look for an app that keeps what it emitted"
            )

    def __repr__(self):
        return f"<Mempool {self.name}: {self.available} of {self.n} mbufs free, {self.data_room} bytes each>"
