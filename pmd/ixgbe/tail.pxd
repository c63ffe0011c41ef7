# SPDX-License-Identifier: BSD-3-Clause
"""The tail of a queue: the one register that hot loops write."""

from libc.stdint cimport uint32_t

from dataplane.eventfd cimport send_signal
from dataplane.machine cimport read32, unlikely, wmb, write32


# at: the register. rests: reads other than 0 while the device rests and does not see the tail move; then a signal of the
# eventfd `wakes` wakes it. Of a device that sees every tail, as cards do, it is a word that stays 0.
cdef struct tail_t:
    volatile uint32_t *at
    const volatile uint32_t *rests
    int wakes


cdef inline void move_tail(tail_t *tail, uint32_t to) noexcept nogil:
    """The last thing of a burst: a store and a load. No fence is needed before the load (pmd/model/doorbell.pyx)."""
    wmb()  # the descriptors are in memory before the NIC is told of them
    write32(tail.at, to)
    if unlikely(read32(tail.rests)):
        send_signal(tail.wakes)


cdef inline tail_t tail_at(size_t address, const volatile uint32_t *awake, waker):
    """awake: a word that stays 0; waker: the Waker of a device that may rest, or None."""
    cdef tail_t tail
    tail.at, tail.rests, tail.wakes = <volatile uint32_t *> address, awake, -1
    if waker is not None:
        tail.rests, tail.wakes = <volatile uint32_t *> <size_t> waker.address, waker.eventfd
    return tail
