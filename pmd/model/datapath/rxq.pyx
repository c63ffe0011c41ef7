# SPDX-License-Identifier: BSD-3-Clause
"""An Rx queue as its registers say (datasheet 8.2.3.8)."""

from libc.stdint cimport uint64_t

from dataplane.machine cimport unlikely
from dataplane.pmd.datasheet.word cimport *
from dataplane.pmd.model.datapath.iommu cimport lookup
from dataplane.pmd.model.datapath.rsc cimport rsc_end
from dataplane.pmd.model.state.domain cimport READ, WRITE
from dataplane.pmd.model.state.port cimport mdl_violate
from dataplane.pmd.model.state.violation cimport V_RX_BUFFER_SIZE, V_RX_SPLIT

cdef enum:
    BUFFER_MAX = 16384


cdef void decode_rxq(mdl_port *p, uint32_t index) noexcept nogil:
    cdef uint32_t *r = p.regs + (W_RXQ + index * 16 if index < 64 else W_RXQ_HIGH + (index - 64) * 16)
    cdef mdl_rxq *q = &p.rxq[index]
    cdef uint64_t bit = <uint64_t> 1 << (index & 63)
    cdef uint32_t srrctl = r[W_SRRCTL], kind = srrctl >> 25 & 7
    cdef bint enable = r[W_RXDCTL] >> 25 & 1
    q.tail, q.head_reg = p.rx_tail[index], r + W_RDH
    q.domain = p.domain_of_pool[index >> p.pool_shift] if p.pool_shift else p.domain
    q.drop = (srrctl >> 28 & 1) or (p.qde[index >> 6] & bit) != 0
    q.strip = r[W_RXDCTL] >> 30 & 1
    q.legacy = kind == 0
    q.buffer = (srrctl & 0x1F) << 10
    q.set = p.regs[W_RQSMR + (index >> 2)] >> ((index & 3) * 8) & 0xF
    # 7.11.1: the header that is kept has room for 128 bytes at least, whether or not headers are split.
    q.merges = enable and p.rsc_on and r[W_RSCCTL] & 1 and kind and (srrctl >> 8 & 0x3F) >= 2
    q.rsc_stamps = not r[W_RSCCTL] & 2
    q.rsc_most = 2 << (r[W_RSCCTL] >> 2 & 3) if r[W_RSCCTL] & 0xC else 1
    p.merging |= q.merges
    if unlikely(p.rsc_open) and not q.merges:
        q.ring = NULL  # the ring may no longer be where it was: go through the domain
        rsc_end(p, index)
    if not enable or q.domain == NULL:
        q.enabled = q.usual = 0
        p.rx_enabled[index >> 6] &= ~bit
        return
    if not q.enabled:
        q.base = (r[W_RDBAL] & ~<uint32_t> 0x7F) | <uint64_t> r[W_RDBAH] << 32
        q.n = (r[W_RDLEN] & 0xFFFFF) >> 4 & ~<uint32_t> 7
        q.head = r[W_RDH] & 0xFFFF
        if q.head >= q.n:
            q.head = 0
        q.bad_tail = 0xFFFFFFFF
        q.rsc_warned = 0
        q.warned = kind == 1  # a single buffer: the header address is unused, and Linux leaves DD there
        # Header split is not to be relied on (7.1.10): such a queue works as one with a single buffer.
        q.doubtful = kind > 1 or q.buffer == 0 or q.buffer > BUFFER_MAX
    if q.buffer == 0 or q.buffer > BUFFER_MAX:
        q.buffer = 2048
    q.enabled, q.stalled = q.n != 0, 0
    q.ring = NULL
    if q.n and lookup(q.domain, q.base, q.n * 16, READ) != NULL:
        q.ring = lookup(q.domain, q.base, q.n * 16, WRITE)
    q.usual = q.enabled and q.ring != NULL and not q.legacy and not q.strip and not q.doubtful and not q.merges
    if q.enabled:
        p.rx_enabled[index >> 6] |= bit


cdef void doubt(mdl_port *p, mdl_rxq *q, uint32_t index) noexcept nogil:
    cdef uint32_t *r = p.regs + (W_RXQ + index * 16 if index < 64 else W_RXQ_HIGH + (index - 64) * 16)
    cdef uint32_t srrctl = r[W_SRRCTL], n = (srrctl & 0x1F) << 10
    q.doubtful = 0
    q.usual = q.ring != NULL and not q.legacy and not q.strip and not q.merges
    if srrctl >> 25 & 7 > 1:
        mdl_violate(p, V_RX_SPLIT, index, 0, srrctl)
    if n == 0 or n > BUFFER_MAX:
        mdl_violate(p, V_RX_BUFFER_SIZE, index, 0, srrctl)
