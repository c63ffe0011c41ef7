# SPDX-License-Identifier: BSD-3-Clause
"""Tails of one function's queues in memory that another process may map."""

from libc.stdint cimport uint32_t


cdef class Doorbells:
    cdef readonly int fd  # a memfd whose size is sealed
    cdef readonly tuple areas  # (offset, size) of the pages with tails, as in the function's BAR0
    cdef readonly uint32_t size  # bytes of the file
    cdef readonly bint virtual
    cdef readonly bint wakes  # the client signals `eventfd` after it has written a tail while *resting is not 0
    cdef readonly int eventfd  # -1: none
    cdef volatile uint32_t *resting  # NULL: none
    cdef volatile uint32_t *at
    cdef object _map
    cdef object _anchor

    # The tail of the function's n-th queue; NULL for one that a VF's BAR has no room for.
    cdef volatile uint32_t *rx_tail(self, uint32_t n) noexcept nogil
    cdef volatile uint32_t *tx_tail(self, uint32_t n) noexcept nogil
