# SPDX-License-Identifier: BSD-3-Clause
"""Ring: a bounded lock-free queue of pointers between lcores (SPSC or MPMC). Its functions are compiled into their callers."""

from libc.stdint cimport uint32_t
from libc.string cimport memcpy

from dataplane.machine cimport cas, load_acquire, pause, store_release, unlikely


cdef extern from "dataplane.h" nogil:
    ctypedef struct ring_t "struct dp_ring":
        uint32_t slots
        uint32_t mask
        uint32_t single
        uint32_t prod_head
        uint32_t prod_tail
        uint32_t cons_head
        uint32_t cons_tail
        void **objs

cdef extern from "<sched.h>" nogil:
    int sched_yield()


# Enqueue or dequeue up to n pointers; returns how many it took (a burst: all there is room for).
cdef inline uint32_t enqueue_burst(ring_t *ring, void **objs, uint32_t n) noexcept nogil:
    return _enqueue(ring, objs, n, False)


cdef inline uint32_t dequeue_burst(ring_t *ring, void **objs, uint32_t n) noexcept nogil:
    return _dequeue(ring, objs, n, False)


# All n or none.
cdef inline uint32_t enqueue_bulk(ring_t *ring, void **objs, uint32_t n) noexcept nogil:
    return _enqueue(ring, objs, n, True)


cdef inline uint32_t dequeue_bulk(ring_t *ring, void **objs, uint32_t n) noexcept nogil:
    return _dequeue(ring, objs, n, True)


cdef inline uint32_t count(ring_t *ring) noexcept nogil:
    return load_acquire(&ring.prod_tail) - load_acquire(&ring.cons_tail)


# Memory for a ring of `slots` pointers, a power of two; to be freed by `free`. single: SPSC. Raises ConfigError, MemoryError.
cdef ring_t *ring_memory(slots, bint single) except NULL


cdef inline void _copy_in(ring_t *ring, uint32_t at, void **objs, uint32_t n) noexcept nogil:
    cdef uint32_t first = at & ring.mask
    cdef uint32_t run = min(n, ring.slots - first)
    memcpy(&ring.objs[first], objs, run * sizeof(void *))
    if unlikely(run < n):
        memcpy(ring.objs, objs + run, (n - run) * sizeof(void *))


cdef inline void _copy_out(ring_t *ring, uint32_t at, void **objs, uint32_t n) noexcept nogil:
    cdef uint32_t first = at & ring.mask
    cdef uint32_t run = min(n, ring.slots - first)
    memcpy(objs, &ring.objs[first], run * sizeof(void *))
    if unlikely(run < n):
        memcpy(objs + run, ring.objs, (n - run) * sizeof(void *))


cdef inline void _publish(uint32_t *tail, uint32_t since, uint32_t to) noexcept nogil:
    """Wait for those who reserved earlier, then move the tail."""
    cdef uint32_t spins = 0
    while load_acquire(tail) != since:
        spins += 1
        if spins < 1000:
            pause()
        else:
            sched_yield()  # an earlier one lost its core in the middle of its copy
    store_release(tail, to)


cdef inline uint32_t _enqueue(ring_t *ring, void **objs, uint32_t n, bint all_or_none) noexcept nogil:
    cdef uint32_t head, room, take
    while True:
        head = load_acquire(&ring.prod_head)
        room = ring.slots - (head - load_acquire(&ring.cons_tail))
        take = n if n <= room else 0 if all_or_none else room
        if take == 0:
            return 0
        if ring.single:
            ring.prod_head = head + take
            break
        if cas(&ring.prod_head, head, head + take):
            break
    _copy_in(ring, head, objs, take)
    if ring.single:
        store_release(&ring.prod_tail, head + take)
    else:
        _publish(&ring.prod_tail, head, head + take)
    return take


cdef inline uint32_t _dequeue(ring_t *ring, void **objs, uint32_t n, bint all_or_none) noexcept nogil:
    cdef uint32_t head, held, take
    while True:
        head = load_acquire(&ring.cons_head)
        held = load_acquire(&ring.prod_tail) - head
        take = n if n <= held else 0 if all_or_none else held
        if take == 0:
            return 0
        if ring.single:
            ring.cons_head = head + take
            break
        if cas(&ring.cons_head, head, head + take):
            break
    _copy_out(ring, head, objs, take)
    if ring.single:
        store_release(&ring.cons_tail, head + take)
    else:
        _publish(&ring.cons_tail, head, head + take)
    return take


cdef class Ring:
    cdef ring_t *ring
    cdef readonly str name
