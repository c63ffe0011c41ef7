# SPDX-License-Identifier: BSD-3-Clause
"""The I/O address space of one PCI function.

The model never dereferences a driver's pointer: every access goes through the function's Domain, as behind an IOMMU.
An access outside the map is blocked, counted and kept as a `DmaFault`; the engine continues as silicon would.
"""

from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy, memmove

from dataplane.memory.guard cimport PeerMemory

from typing import NamedTuple

from dataplane.errors import ConfigError
from dataplane.memory.mapped import is_memory
from dataplane.pmd.model.state.domain cimport FAULTS, READ, WRITE, mdl_fault, mdl_range

cdef extern from *:
    """
    #include <stdint.h>
    /* Cards have locks of their own: two of them may change their maps at the same time. */
    static uint32_t mdl_epoch = 1;
    static void mdl_next_epoch(void) { __atomic_add_fetch(&mdl_epoch, 1, __ATOMIC_RELEASE); }
    static uint32_t mdl_this_epoch(void) { return __atomic_load_n(&mdl_epoch, __ATOMIC_ACQUIRE); }
    """
    void next_epoch "mdl_next_epoch" () noexcept nogil
    uint32_t this_epoch "mdl_this_epoch" () noexcept nogil

WHAT = (
    "Rx descriptor fetch",
    "Rx descriptor write-back",
    "Rx data",
    "Tx descriptor fetch",
    "Tx descriptor write-back",
    "Tx data",
    "Tx head write-back",
)


class DmaFault(NamedTuple):
    """A DMA access outside the map. `length` in bytes; `direction` is "read" or "write", seen from the device."""

    function: str
    iova: int
    length: int
    direction: str
    what: str

    def __str__(self):
        return (
            f"{self.function}: DMA {self.direction} of {self.length} bytes at IOVA {self.iova:#x} is outside the map "
            f"({self.what}): map the memory before the device is told of it"
        )


cdef uint32_t current_epoch() noexcept nogil:
    return this_epoch()


cdef uint32_t _first_above(mdl_domain *d, uint64_t iova) noexcept nogil:
    """Index of the first range that starts above `iova`."""
    cdef uint32_t low = 0, high = d.count, middle
    while low < high:
        middle = (low + high) // 2
        if d.ranges[middle].iova <= iova:
            low = middle + 1
        else:
            high = middle
    return low


cdef mdl_range *_range_of(mdl_domain *d, uint64_t iova, uint32_t perm) noexcept nogil:
    cdef uint32_t index = _first_above(d, iova)
    if index == 0:
        return NULL
    cdef mdl_range *r = &d.ranges[index - 1]
    return r if iova - r.iova < r.size and r.perms & perm else NULL


cdef uint8_t *lookup(mdl_domain *d, uint64_t iova, uint64_t n, uint32_t perm) noexcept nogil:
    cdef mdl_range *r = _range_of(d, iova, perm)
    if r == NULL or n > r.size - (iova - r.iova):
        return NULL
    d.hit_iova, d.hit_size, d.hit_host, d.hit_perms = r.iova, r.size, r.host, r.perms
    return r.host + (iova - r.iova)


cdef void fault(
    mdl_domain *d, uint64_t iova, uint32_t n, bint write, uint32_t what, uint32_t queue
) noexcept nogil:
    cdef mdl_fault *f = &d.fault[d.faults % FAULTS]
    f.iova, f.length, f.write, f.what, f.queue = iova, n, write, what, queue
    d.faults += 1


cdef bint _allowed(mdl_domain *d, uint64_t iova, uint32_t n, uint32_t perm) noexcept nogil:
    cdef mdl_range *r
    cdef uint64_t rest, left = n
    if iova + n < iova:
        return False
    while left:
        r = _range_of(d, iova, perm)
        if r == NULL:
            return False
        rest = r.size - (iova - r.iova)
        if rest >= left:
            return True
        iova += rest
        left -= rest
    return True


cdef bint dma_read(
    mdl_domain *d, uint8_t *to, uint64_t iova, uint32_t n, uint32_t what, uint32_t queue
) noexcept nogil:
    cdef mdl_range *r
    cdef uint64_t piece
    if not _allowed(d, iova, n, READ):
        fault(d, iova, n, False, what, queue)
        return False
    while n:
        r = _range_of(d, iova, READ)
        piece = min(r.size - (iova - r.iova), n)
        memcpy(to, r.host + (iova - r.iova), piece)
        to += piece
        iova += piece
        n -= piece
    return True


cdef bint dma_write(
    mdl_domain *d, uint64_t iova, const uint8_t *source, uint32_t n, uint32_t what, uint32_t queue
) noexcept nogil:
    cdef mdl_range *r
    cdef uint64_t piece
    if not _allowed(d, iova, n, WRITE):
        fault(d, iova, n, True, what, queue)
        return False
    while n:
        r = _range_of(d, iova, WRITE)
        piece = min(r.size - (iova - r.iova), n)
        memcpy(r.host + (iova - r.iova), source, piece)
        source += piece
        iova += piece
        n -= piece
    return True


cdef class Domain:
    """IOVA ranges of one function -> host memory. A change holds the card's lock."""

    def __cinit__(self, str name not None="function"):
        self.name = name
        self._owners = {}
        self.c = <mdl_domain *> calloc(1, sizeof(mdl_domain))
        if self.c == NULL:
            raise MemoryError("no memory for an I/O address space")

    def __dealloc__(self):
        if self.c != NULL:
            free(self.c.ranges)
            free(self.c)

    def map(self, uint64_t iova, uint64_t size, size_t address, *, bint read=True, bint write=True, object owner=None):
        """Let the device reach `size` bytes at host `address` as `iova`. `owner` is kept alive until the unmap.

        owner: a PeerMemory answers for what it has mapped. Other addresses are looked up among all mappings of the process,
        which takes 10 ms where there are as many as the clients of a served NIC may have.

        Raises ConfigError for an empty or overlapping range.
        """
        if not size or iova + size < iova or not address or not (read or write):
            raise ConfigError(f"{self.name}: cannot map {size:#x} bytes at IOVA {iova:#x}: give a size, memory and a permission")
        if not self._is_known(owner, address, size, write) and not is_memory(address, size, write=write):
            raise ConfigError(f"{self.name}: {size:#x} bytes at address {address:#x} are not memory of this process: map it first")
        self._enter()
        try:
            self._map(iova, size, address, read, write)
            self._owners[iova] = owner
        finally:
            self._leave()

    cdef bint _is_known(self, object owner, size_t address, uint64_t size, bint write):
        return isinstance(owner, PeerMemory) and (<PeerMemory> owner).covers(address, size, write)

    cdef int _map(self, uint64_t iova, uint64_t size, size_t address, bint read, bint write) except -1:
        cdef mdl_domain *d = self.c
        cdef mdl_range *grown
        cdef uint32_t at = _first_above(d, iova)
        if (at and d.ranges[at - 1].iova + d.ranges[at - 1].size > iova) or (at < d.count and d.ranges[at].iova < iova + size):
            raise ConfigError(f"{self.name}: IOVA {iova:#x} to {iova + size:#x} overlaps a mapping: unmap that first")
        if d.count == d.room:
            grown = <mdl_range *> realloc(d.ranges, (d.room + 16) * sizeof(mdl_range))
            if grown == NULL:
                raise MemoryError("no memory for one more mapping")
            d.ranges = grown
            d.room += 16
        memmove(&d.ranges[at + 1], &d.ranges[at], (d.count - at) * sizeof(mdl_range))
        d.ranges[at].iova, d.ranges[at].size = iova, size
        d.ranges[at].host = <uint8_t *> address
        d.ranges[at].perms = (READ if read else 0) | (WRITE if write else 0)
        d.count += 1
        self._changed()
        return 0

    def unmap(self, uint64_t iova):
        """Remove the mapping that starts at `iova`. Raises ConfigError if no mapping starts there."""
        self._enter()
        try:
            self._unmap(iova)
        finally:
            self._leave()
        del self._owners[iova]

    cdef int _unmap(self, uint64_t iova) except -1:
        cdef mdl_domain *d = self.c
        cdef uint32_t at = _first_above(d, iova)
        if not at or d.ranges[at - 1].iova != iova:
            raise ConfigError(f"{self.name}: no mapping starts at IOVA {iova:#x}")
        memmove(&d.ranges[at - 1], &d.ranges[at], (d.count - at) * sizeof(mdl_range))
        d.count -= 1
        self._changed()
        return 0

    def unmap_between(self, uint64_t first, uint64_t last):
        """Take away the mappings that start at `first` or above, and at `last` or below."""
        cdef mdl_domain *d = self.c
        cdef uint32_t start = _first_above(d, first - 1) if first else 0, end = _first_above(d, last), at
        if start >= end:
            return
        for at in range(start, end):
            del self._owners[d.ranges[at].iova]
        memmove(&d.ranges[start], &d.ranges[end], (d.count - end) * sizeof(mdl_range))
        d.count -= end - start
        self._changed()

    def clear(self):
        """Take all mappings away."""
        self.c.count = 0
        self._changed()
        self._owners.clear()

    def __contains__(self, uint64_t iova):
        """Whether a mapping starts at `iova`."""
        cdef uint32_t at = _first_above(self.c, iova)
        return at > 0 and self.c.ranges[at - 1].iova == iova

    cdef void _enter(self) noexcept:
        if self.lock is not None:
            self.lock.take_gil()

    cdef void _leave(self) noexcept:
        if self.lock is not None:
            self.lock.give()

    cdef void _changed(self) noexcept:
        self.c.hit_size = 0
        self.c.generation += 1
        next_epoch()

    @property
    def mappings(self):
        """(iova, size, host address, "r" / "w" / "rw") of each range, ascending."""
        cdef mdl_domain *d = self.c
        return [
            (
                d.ranges[i].iova,
                d.ranges[i].size,
                <size_t> d.ranges[i].host,
                ("r" if d.ranges[i].perms & READ else "") + ("w" if d.ranges[i].perms & WRITE else ""),
            )
            for i in range(d.count)
        ]

    @property
    def fault_count(self):
        """How many accesses were blocked, ever."""
        return self.c.faults

    def take_faults(self):
        """The faults since the last call, oldest first; of more than 64 the last 64."""
        cdef mdl_domain *d = self.c
        cdef uint64_t index, first = max(self._taken, d.faults - FAULTS if d.faults > FAULTS else 0)
        found = []
        for index in range(first, d.faults):
            f = d.fault[index % FAULTS]
            found.append(
                DmaFault(self.name, f.iova, f.length, "write" if f.write else "read", f"{WHAT[f.what]} queue {f.queue}")
            )
        self._taken = d.faults
        return found
