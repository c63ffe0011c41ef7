# SPDX-License-Identifier: BSD-3-Clause
"""Memory of another process: what compiled code may ask of it."""

from libc.stdint cimport uint64_t


cdef class PeerMemory:
    cdef long long _slot
    cdef bint _writable
    cdef readonly uint64_t size, mapped
    cdef readonly size_t address
    cdef readonly bint quick

    # Whether all of [at, at + n) is this memory, and may be written if `write`.
    cdef bint covers(self, size_t at, uint64_t n, bint write) noexcept
