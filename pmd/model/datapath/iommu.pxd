# SPDX-License-Identifier: BSD-3-Clause
"""The I/O address space of one PCI function: what its DMA may touch.

`translate` is what the engines call for each buffer: one comparison when the range is the one that was hit last.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from dataplane.machine cimport likely
from dataplane.pmd.model.shared cimport CardLock
from dataplane.pmd.model.state.domain cimport mdl_domain


# IOVA ranges -> host memory, with permissions. Change it only under the card's lock.
cdef class Domain:
    cdef mdl_domain *c
    cdef readonly str name
    cdef dict _owners  # iova -> what must outlive the mapping
    cdef uint64_t _taken  # faults handed out so far
    cdef CardLock lock  # held while ranges change; None: nothing runs by itself
    cdef bint _is_known(self, object owner, size_t address, uint64_t size, bint write)
    cdef int _map(self, uint64_t iova, uint64_t size, size_t address, bint read, bint write) except -1
    cdef int _unmap(self, uint64_t iova) except -1
    cdef void _enter(self) noexcept
    cdef void _leave(self) noexcept
    cdef void _changed(self) noexcept


# Moves with every change of any Domain of the process: cached host addresses may then be stale.
cdef uint32_t current_epoch() noexcept nogil

# The host address of [iova, iova + n) if one mapping allows the whole access, else NULL. No fault is recorded.
cdef uint8_t *lookup(mdl_domain *d, uint64_t iova, uint64_t n, uint32_t perm) noexcept nogil

# Copies piece by piece over mapping boundaries. All or nothing: False and one fault recorded if any byte is out of bounds.
cdef bint dma_read(
    mdl_domain *d, uint8_t *to, uint64_t iova, uint32_t n, uint32_t what, uint32_t queue
) noexcept nogil
cdef bint dma_write(
    mdl_domain *d, uint64_t iova, const uint8_t *source, uint32_t n, uint32_t what, uint32_t queue
) noexcept nogil

cdef void fault(
    mdl_domain *d, uint64_t iova, uint32_t n, bint write, uint32_t what, uint32_t queue
) noexcept nogil


cdef inline uint8_t *translate(mdl_domain *d, uint64_t iova, uint64_t n, uint32_t perm) noexcept nogil:
    cdef uint64_t offset = iova - d.hit_iova
    if likely(offset < d.hit_size and n <= d.hit_size - offset and d.hit_perms & perm):
        return d.hit_host + offset
    return lookup(d, iova, n, perm)
