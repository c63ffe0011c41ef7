# SPDX-License-Identifier: BSD-3-Clause
"""The Rx descriptor ring as both ways of receiving use it: packet by packet (rx), and merged (rsc). Datasheet 7.1.6 to 7.1.9."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from dataplane.machine cimport likely, prefetch_write, read32, rmb, unlikely
from dataplane.pmd.datasheet.word cimport *
from dataplane.pmd.model.datapath.iommu cimport dma_read, dma_write, translate
from dataplane.pmd.model.state.bytes cimport mdl_copy, mdl_load64, mdl_publish64
from dataplane.pmd.model.state.domain cimport RX_DATA, RX_DESC_FETCH, RX_DESC_WRITE, WRITE
from dataplane.pmd.model.state.port cimport mdl_port, mdl_violate
from dataplane.pmd.model.state.queue cimport mdl_rxq
from dataplane.pmd.model.state.violation cimport V_RX_HEADER, V_RX_TAIL

cdef enum:
    AHEAD = 4  # descriptors
    ALL_QUEUES = 0x10  # RXDSTATCTRL
    # Result of storing a copy
    WAITS = 0
    DROPPED = 1
    TAKEN = 2
    APART = 3  # not merged: it needs descriptors of its own


# Packets of a burst in one queue that its registers do not show yet.
cdef struct Visit:
    mdl_rxq *queue
    uint32_t index
    uint32_t packets
    uint32_t available  # descriptors, when last looked
    uint64_t bytes
    uint32_t done_packets  # for RXDGPC
    uint64_t done_bytes


cdef inline void store(mdl_rxq *q, uint64_t iova, const uint8_t *data, uint32_t n, uint32_t index) noexcept nogil:
    """Write to host memory. A posted write: the device does not notice if it is blocked."""
    cdef uint8_t *to = translate(q.domain, iova, n, WRITE)
    if likely(to != NULL):
        mdl_copy(to, data, n)
    elif n:
        dma_write(q.domain, iova, data, n, RX_DATA, index)


cdef inline uint32_t available(mdl_port *p, mdl_rxq *q, uint32_t index) noexcept nogil:
    cdef uint32_t tail = read32(q.tail)
    if unlikely(tail >= q.n):
        if q.bad_tail != tail:
            q.bad_tail = tail
            mdl_violate(p, V_RX_TAIL, index, q.n, tail)
        return 0
    rmb()  # read the descriptors after the tail
    return tail - q.head if tail >= q.head else tail + q.n - q.head


cdef inline bint fetch(mdl_port *p, mdl_rxq *q, uint32_t index, uint32_t at, uint64_t *words) noexcept nogil:
    """Read the descriptor at `at`. False: unreadable, and the queue stalls until it is enabled again."""
    if q.ring != NULL:
        words[0], words[1] = mdl_load64(q.ring + at * 16), mdl_load64(q.ring + at * 16 + 8)
    elif not dma_read(q.domain, <uint8_t *> words, q.base + at * 16, 16, RX_DESC_FETCH, index):
        q.stalled = 1
        return False
    if unlikely(words[1] & 1 and not q.legacy and not q.warned):
        q.warned = 1
        mdl_violate(p, V_RX_HEADER, index, at, words[1])
    return True


cdef inline void warm(mdl_rxq *q, uint32_t at) noexcept nogil:
    """The buffer of a descriptor that comes soon: the driver gave it back long ago, and the cache has forgotten it."""
    cdef uint64_t offset
    at += AHEAD
    if at >= q.n:
        at -= q.n
    if likely(q.ring != NULL and at < q.n):
        offset = mdl_load64(q.ring + at * 16) - q.domain.hit_iova
        if likely(offset < q.domain.hit_size):
            prefetch_write(q.domain.hit_host + offset)


cdef inline void write_back(
    mdl_port *p, mdl_rxq *q, uint32_t index, uint32_t at, uint64_t low, uint64_t high
) noexcept nogil:
    cdef uint64_t[2] words
    cdef uint8_t *d
    if likely(q.ring != NULL):
        d = q.ring + at * 16
        (<uint64_t *> d)[0] = low
        mdl_publish64(d + 8, high)  # DD last: the driver may look at any time
        return
    words[0], words[1] = low, high
    dma_write(q.domain, q.base + at * 16, <uint8_t *> words, 16, RX_DESC_WRITE, index)
