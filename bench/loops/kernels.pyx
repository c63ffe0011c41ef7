# SPDX-License-Identifier: BSD-3-Clause
"""Run the driver's kernels on made-up descriptors and mbufs, for tests that compare each width with the scalar form.

Each function allocates the kernel's memory, fills it from its arguments, and returns everything that the kernel may have
written, as bytes. Pointers to mbufs come back as indices.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcpy, memset
from posix.stdlib cimport posix_memalign

from dataplane.mbuf cimport mbuf, mempool_t
from dataplane.pmd.datasheet.hw82599 cimport hw_rx_desc, hw_tx_desc
from dataplane.pmd.ixgbe.queues.kernels cimport AHEAD, alike_t, kernels_of, kernels_t, rx_meta_t

cdef enum:
    LINE = 64
    MBUF = 128
    PATTERN = 0xA5


cdef class _Memory:
    """`n` mbufs, `n` descriptors that begin `skip` descriptors behind a cache line, and two arrays of pointers."""
    cdef uint8_t *mbufs
    cdef uint8_t *ring
    cdef mbuf **sw
    cdef mbuf **pkts
    cdef void *_all
    cdef uint32_t n

    def __cinit__(self, uint32_t n, uint32_t skip=0):
        cdef size_t lines = 4 + n * (MBUF + 16 + 8 + 8) // LINE + AHEAD
        if posix_memalign(&self._all, LINE, lines * LINE + n * 8 + AHEAD * 8 + 4 * LINE):
            raise MemoryError
        memset(self._all, PATTERN, lines * LINE)
        self.n = n
        self.mbufs = <uint8_t *> self._all
        self.ring = self.mbufs + n * MBUF + skip % 4 * 16
        self.sw = <mbuf **> (self.mbufs + n * MBUF + LINE + n * 16)
        self.pkts = self.sw + n + AHEAD
        for i in range(n):
            self.sw[i] = self.pkts[i] = self.at(i)
        for i in range(AHEAD):
            self.sw[n + i] = NULL

    def __dealloc__(self):
        free(self._all)

    cdef mbuf *at(self, uint32_t i):
        return <mbuf *> (self.mbufs + i * MBUF)

    def indices(self, size_t pointers, uint32_t count):
        """Which mbufs `count` pointers point to."""
        return [(<size_t> (<mbuf **> pointers)[i] - <size_t> self.mbufs) // MBUF for i in range(count)]


def take(name, bytes descriptors, bytes rules, uint64_t rearm, uint32_t skip=0):
    """rx: `rules` are 3 times 16 bytes. Returns (packets, indices of their mbufs, all mbufs)."""
    cdef const kernels_t *kernel = kernels_of(name)
    cdef uint32_t n = <uint32_t> (len(descriptors) // 16), count
    cdef _Memory memory = _Memory(n, skip)
    cdef rx_meta_t told
    memcpy(told.seen, <const char *> rules, 48)
    told.rearm = rearm
    memcpy(memory.ring, <const char *> descriptors, n * 16)
    memset(memory.pkts, 0, n * sizeof(mbuf *))
    count = kernel.take(<hw_rx_desc *> memory.ring, memory.sw, memory.pkts, n, &told)
    return count, memory.indices(<size_t> memory.pkts, count), memory.mbufs[:n * MBUF]


def arm(name, iovas, uint32_t skip=0):
    """rx: buffers at these addresses. Returns the descriptors."""
    cdef const kernels_t *kernel = kernels_of(name)
    cdef uint32_t n = <uint32_t> len(iovas)
    cdef _Memory memory = _Memory(n, skip)
    for i in range(n):
        memory.at(i).buf_iova = iovas[i]
    kernel.arm(<hw_rx_desc *> memory.ring, memory.sw, n)
    return memory.ring[:n * 16]


def put(name, lines, alike, uint64_t pool, uint32_t skip=0):
    """tx: `lines` are the first 64 bytes of each mbuf, `alike` the fields of that struct.

    Returns (packets, their descriptors, indices of the mbufs in `sw`, bits in which their pools differ).
    """
    cdef const kernels_t *kernel = kernels_of(name)
    cdef uint32_t n = <uint32_t> len(lines), count
    cdef _Memory memory = _Memory(n, skip)
    cdef alike_t told
    cdef uint64_t mixed = 0
    cdef bytes line
    told.flags, told.command = alike["flags"], alike["command"]
    told.headers, told.headers_mask = alike["headers"], alike["headers_mask"]
    told.tag, told.tag_mask = alike["tag"], alike["tag_mask"]
    told.shortest, told.longest = alike["shortest"], alike["longest"]
    for i in range(n):
        line = lines[i]
        memcpy(memory.at(i), <const char *> line, LINE)
    memset(memory.sw, 0, n * sizeof(mbuf *))
    count = kernel.put(<hw_tx_desc *> memory.ring, memory.sw, memory.pkts, n, &told, <mempool_t *> <size_t> pool, &mixed)
    return count, memory.ring[:count * 16], memory.indices(<size_t> memory.sw, count), mixed
