# SPDX-License-Identifier: BSD-3-Clause
"""What the halves of a card share: the register memory of a port, the card's lock, its clock."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef enum:
    REGISTER_BYTES = 0x20000
    REGISTER_WORDS = 0x8000


# The register file of one port: 128 KiB of shared memory. Register at byte offset o: at[o >> 2].
cdef class RegisterFile:
    cdef readonly int fd  # a memfd, for other processes to map
    cdef volatile uint32_t *at
    cdef object _map
    cdef object _anchor


# One for a card. Everything that touches registers or a port's state holds it. A busy owner (the runner) looks at `wanted()`
# between two batches and, if a thread waits, calls give() and take() again, which lets that thread in first.
cdef class CardLock:
    cdef uint32_t word
    cdef uint32_t waiters
    cdef uint64_t owner  # the thread that holds it; it may take it again
    cdef int depth
    cdef void take(self) noexcept nogil  # for a thread without the GIL
    cdef void take_gil(self) noexcept  # for a thread with the GIL, which is released while it waits
    cdef void give(self) noexcept nogil
    cdef bint is_mine(self) noexcept nogil  # whether this thread holds it
    cdef bint wanted(self) noexcept nogil
    cdef void let_in(self) noexcept nogil  # give, wait until no thread waits any more, take


# Time as the card sees it. Real: runs by itself. Virtual: moves when `advance` is called (steps and sleeps do).
cdef class Clock:
    cdef readonly bint virtual
    cdef uint64_t ns
    cdef uint64_t now(self) noexcept nogil  # ns
    cdef void advance(self, uint64_t ns) noexcept nogil  # nothing on a real clock


# What the controller of a port knows of its data path: Engine is a subclass. The card's lock is held in every call.
cdef class DataPath:
    cdef CardLock lock  # of the card, once a controller has the port; None before, when nothing runs by itself
    cdef bint stopped  # no DMA and no traffic: bus mastering is off, the function sleeps (D3), or it was pulled out
    cdef bint strict  # record what the datasheet forbids
    cdef bint lit  # our end of the wire is up (laser on, no link flap): what the peer sees; starts True
    cdef uint8_t pace  # LINKS.SPEED of our light, 0 while that is nothing the other end can use: only like speeds make a link
    cdef bint link  # LINKS.UP: without link nothing is sent; starts True, and follows LINKS under a controller
    cdef uint32_t violations  # how many are recorded; take_violations() (Python) hands them over
    cdef void adopt(self) noexcept  # `lock` is set: from now on it is held to change anything that the data path reads
    cdef void written(self, uint32_t offset, uint32_t value) noexcept nogil  # a register (canonical offset) now holds value
    cdef void reset(self) noexcept nogil  # all registers are at their reset values: decode them again, drop all packets inside
    cdef uint32_t step(self, uint32_t budget) noexcept nogil
    cdef volatile uint32_t *tail_at(self, uint32_t word) noexcept nogil  # where a tail is; NULL: in the register file
    cdef bint wire_up(self) noexcept nogil  # a wire is plugged in and its other end is up
