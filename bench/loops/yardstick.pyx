# SPDX-License-Identifier: BSD-3-Clause
"""A calibration loop: loads, stores and branches such as drivers, the model and generators make, and none of their code.

The cost of a packet over that of a turn of this loop, measured by turns, is a ratio that a slow or busy machine changes less
than either figure. The loop must stay as it is: a change of it changes each goal that is a factor of it.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from dataplane.machine cimport tsc

from dataplane.memory.hugepage import Arena

cdef enum:
    SLOTS = 512
    APART = 2304  # bytes from buffer to buffer, as mbufs are
    FRAME = 64
    DONE = 1


cdef class Yardstick:
    """Two rows of buffers and a ring of descriptors, in an arena as the work's."""

    cdef object _arena
    cdef uint64_t *ring
    cdef uint8_t *left
    cdef uint8_t *right
    cdef uint32_t at

    def __init__(self):
        self._arena = Arena(SLOTS * (16 + 2 * APART), name="yardstick")
        blocks = self._arena.alloc(SLOTS * 16), self._arena.alloc(SLOTS * APART), self._arena.alloc(SLOTS * APART)
        ring, left, right = (block.address for block in blocks)
        self.ring = <uint64_t *> <size_t> ring
        self.left, self.right = <uint8_t *> <size_t> left, <uint8_t *> <size_t> right
        cdef uint32_t i, j
        for i in range(SLOTS):
            self.ring[2 * i], self.ring[2 * i + 1] = i, DONE
            for j in range(FRAME):
                self.left[i * APART + j] = <uint8_t> (i + j)

    def cycles(self, uint32_t rounds):
        """Cycles per iteration (float), in rounds of 32: a descriptor read and written, a frame of 64 bytes copied and summed."""
        cdef uint64_t start, total = 0
        cdef uint64_t words[8]
        cdef uint64_t *slot
        cdef uint8_t *there
        cdef uint32_t i, j, at = self.at
        with nogil:
            start = tsc()
            for i in range(rounds * 32):  # no-cython-lint: it is read after the loop
                slot = self.ring + 2 * (at & (SLOTS - 1))
                if slot[1] & DONE == 0:
                    break
                memcpy(words, self.left + <size_t> slot[0] * APART, FRAME)
                for j in range(8):
                    total += <uint32_t> words[j] + (words[j] >> 32)
                there = self.right + <size_t> (at & (SLOTS - 1)) * APART
                memcpy(there, words, FRAME)
                if total & 0xFFFF == 0xFFFF:  # seldom
                    there[0] ^= 1
                slot[1] = DONE | (total & 0xFF) << 8
                at += 1
            start = tsc() - start
        self.at = at
        if i + 1 < rounds * 32:
            raise RuntimeError(f"a descriptor of the yardstick lost its mark after {i} turns")
        return <double> start / (<double> rounds * 32)
