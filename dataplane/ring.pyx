# SPDX-License-Identifier: BSD-3-Clause
"""Ring: a bounded lock-free queue of pointers between lcores (SPSC or MPMC).

Producers and consumers each have a head and a tail. A thread moves the head to reserve slots, copies, and then
moves the tail, in the order of the reservations: what lies between the other side's tail and its own head is its own.
Indices run freely over 32 bits, so all `slots` pointers can be held.
"""

from operator import index

from libc.stdlib cimport free
from libc.string cimport memset
from posix.stdlib cimport posix_memalign

from dataplane.machine cimport CACHE_LINE
from dataplane.mempool cimport free_checked

from dataplane.errors import ConfigError


cdef ring_t *ring_memory(slots, bint single) except NULL:
    cdef void *memory
    cdef ring_t *ring
    slots = index(slots)
    if slots < 2 or slots > 1 << 24 or slots & (slots - 1):
        raise ConfigError(f"a ring of {slots} slots: must be a power of two from 2 to {1 << 24}")
    if posix_memalign(&memory, CACHE_LINE, sizeof(ring_t) + <size_t> slots * sizeof(void *)):
        raise MemoryError(f"no memory for a ring of {slots} slots")
    memset(memory, 0, sizeof(ring_t))
    ring = <ring_t *> memory
    ring.slots = slots
    ring.mask = slots - 1
    ring.single = single
    return ring


cdef class Ring:
    """A ring of `slots` pointers (a power of two, 2 .. 2**24). single: one producer and one consumer (SPSC), else MPMC."""

    def __cinit__(self, slots=1024, *, single=False, name="ring"):
        self.name = name
        self.ring = ring_memory(slots, bool(single))

    def __dealloc__(self):
        free(self.ring)

    def __len__(self):
        return count(self.ring)

    @property
    def slots(self):
        """How many pointers it holds."""
        return self.ring.slots

    def put(self, objs):
        """Enqueue integers in Python, as many as there is room for; returns how many. For tests and control code."""
        cdef void *obj
        done = 0
        for value in objs:
            obj = <void *> <size_t> value
            if not enqueue_burst(self.ring, &obj, 1):
                break
            done += 1
        return done

    def get(self, n):
        """Dequeue up to n integers in Python."""
        cdef void *obj
        taken = []
        while len(taken) < n and dequeue_burst(self.ring, &obj, 1):
            taken.append(<size_t> obj)
        return taken

    def drain(self):
        """Free every mbuf in it; returns how many there were. No other thread may use the ring meanwhile.

        Raises MempoolError, and frees none, when an entry is no mbuf, is free already or is there twice: the ring is
        empty then.
        """
        held = self.get(self.ring.slots)
        free_checked(held, None)
        return len(held)

    def __repr__(self):
        return f"<Ring {self.name}: {len(self)} of {self.slots} slots, {'SPSC' if self.ring.single else 'MPMC'}>"
