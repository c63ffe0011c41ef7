# SPDX-License-Identifier: BSD-3-Clause
"""Ring: a bounded lock-free queue of pointers between lcores (SPSC or MPMC)."""

from libc.stdint cimport uint32_t

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

# Enqueue or dequeue up to n pointers; returns how many it took (a burst: all there is room for).
cdef uint32_t enqueue_burst(ring_t *ring, void **objs, uint32_t n) noexcept nogil
cdef uint32_t dequeue_burst(ring_t *ring, void **objs, uint32_t n) noexcept nogil
# All n or none.
cdef uint32_t enqueue_bulk(ring_t *ring, void **objs, uint32_t n) noexcept nogil
cdef uint32_t dequeue_bulk(ring_t *ring, void **objs, uint32_t n) noexcept nogil


cdef inline uint32_t count(ring_t *ring) noexcept nogil:
    return load_acquire(&ring.prod_tail) - load_acquire(&ring.cons_tail)


cdef class Ring:
    cdef ring_t *ring
    cdef readonly str name
    cdef void *_memory
