# SPDX-License-Identifier: BSD-3-Clause
"""The MAC's counters (datasheet 8.2.3.23): gathered over a burst in a `Tally`, then added to the register file.

Counters stick at their maximum until a read clears them. Byte counters have 36 bits: low word, then bits 35:32.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from dataplane.pmd.datasheet.word cimport *
from dataplane.pmd.model.state.bytes cimport mdl_load64

cdef enum:
    BINS = 6


cdef struct Tally:
    uint32_t packets  # good ones that were let in, or sent
    uint32_t[6] bins  # of these by size
    uint32_t broadcast
    uint32_t multicast
    uint64_t bytes  # with FCS, as the two below
    # Only received:
    uint32_t refused  # good ones that a filter kept out
    uint32_t bad
    uint64_t refused_bytes
    uint64_t bad_bytes


cdef inline void count(uint32_t *regs, uint32_t word, uint32_t n) noexcept nogil:
    cdef uint32_t sum = regs[word] + n
    regs[word] = sum if sum >= n else <uint32_t> 0xFFFFFFFF


cdef inline void count36(uint32_t *regs, uint32_t word, uint64_t n) noexcept nogil:
    cdef uint64_t sum = (regs[word] | <uint64_t> (regs[word + 1] & 0xF) << 32) + n
    if sum >> 36:
        sum = (<uint64_t> 1 << 36) - 1
    regs[word] = <uint32_t> sum
    regs[word + 1] = <uint32_t> (sum >> 32)


cdef inline uint32_t size_bin(uint32_t size) noexcept nogil:
    """0: up to 64 bytes with FCS, 1: 65 to 127, 2: to 255, 3: to 511, 4: to 1023, 5: longer."""
    return 0 if size <= 64 else 1 if size < 128 else 2 if size < 256 else 3 if size < 512 else 4 if size < 1024 else 5


cdef inline void note_good(Tally *t, const uint8_t *data, uint32_t size) noexcept nogil:
    """A good frame of `size` bytes with FCS."""
    cdef uint64_t destination
    t.packets += 1
    t.bytes += size
    t.bins[size_bin(size)] += 1
    if data[0] & 1:
        destination = mdl_load64(data) & <uint64_t> 0xFFFFFFFFFFFF
        if destination == <uint64_t> 0xFFFFFFFFFFFF:
            t.broadcast += 1
        else:
            t.multicast += 1


cdef inline void flush_rx(uint32_t *regs, const Tally *t) noexcept nogil:
    cdef uint32_t i
    count(regs, W_TPR, t.packets + t.refused + t.bad)
    count36(regs, W_TORL, t.bytes + t.refused_bytes + t.bad_bytes)
    count(regs, W_RXNFGPC, t.packets + t.refused)
    count36(regs, W_RXNFGBCL, t.bytes + t.refused_bytes)
    if t.packets == 0:
        return
    count(regs, W_GPRC, t.packets)
    count36(regs, W_GORCL, t.bytes)
    for i in range(BINS):
        count(regs, W_PRC64 + i, t.bins[i])
    count(regs, W_BPRC, t.broadcast)
    count(regs, W_MPRC, t.multicast)


cdef inline void flush_tx(uint32_t *regs, const Tally *t) noexcept nogil:
    cdef uint32_t i
    count(regs, W_GPTC, t.packets)
    count(regs, W_TPT, t.packets)
    count36(regs, W_GOTCL, t.bytes)
    for i in range(BINS):
        count(regs, W_PTC64 + i, t.bins[i])
    count(regs, W_BPTC, t.broadcast)
    count(regs, W_MPTC, t.multicast)
