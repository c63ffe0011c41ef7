# SPDX-License-Identifier: BSD-3-Clause
"""The tail of a queue, which is the only register that hot loops write; and how they notice that the device is gone."""

from libc.stdint cimport uint32_t

from dataplane.machine cimport read32, wmb, write32

cdef enum:
    GONE_MASK = 0xFFFF      # polls without a result between two reads of `status`: 1 us in 100 us or more


# at: the register. rests: a word that is not 0 while the device sleeps and does not notice a new tail. NULL: the device
# notices each, as cards do; then only the register is accessed, not even a cache line with a word that stays 0.
cdef struct tail_t:
    volatile uint32_t *at
    const volatile uint32_t *rests


cdef inline bint move_tail(const tail_t *tail, uint32_t to) noexcept nogil:
    """Write the tail, last in a burst. True: signal the eventfd of the queue's waker, because the device sleeps.

    No fence is needed between the store and the load (pmd/model/datapath/doorbell.pyx).
    """
    wmb()  # the descriptors are in memory before the NIC may read them
    write32(tail.at, to)
    return tail.rests != NULL and read32(tail.rests) != 0


cdef inline tail_t tail_at(size_t address, waker):
    """waker: the Waker of a device that may rest, or None."""
    cdef tail_t tail
    tail.at, tail.rests = <volatile uint32_t *> address, NULL
    if waker is not None:
        tail.rests = <volatile uint32_t *> <size_t> waker.address
    return tail


cdef inline bint is_gone(const volatile uint32_t *status) noexcept nogil:
    """Whether a register that never has all bits set reads as all ones: the device was pulled out, or is not responding."""
    return read32(status) == ~<uint32_t> 0
