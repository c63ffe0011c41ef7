# SPDX-License-Identifier: BSD-3-Clause
"""Cyclic checksums, four bytes a step. None is on the path of an ordinary frame."""

from dataplane.pmd.model.state.bytes cimport mdl_load32

cdef uint32_t[4][256] _ethernet
cdef uint32_t[4][256] _castagnoli


cdef void _fill(uint32_t[4][256] table, uint32_t polynomial) noexcept:
    """table[k][v]: what byte v does to the remainder when k bytes follow it. Bits are reflected."""
    cdef uint32_t value, rest
    cdef int k
    for value in range(256):
        rest = value
        for _ in range(8):
            rest = rest >> 1 ^ (polynomial if rest & 1 else 0)
        table[0][value] = rest
    for k in range(1, 4):
        for value in range(256):
            table[k][value] = table[k - 1][value] >> 8 ^ table[0][table[k - 1][value] & 0xFF]


_fill(_ethernet, 0xEDB88320)
_fill(_castagnoli, 0x82F63B78)


cdef uint32_t _run(uint32_t[4][256] table, uint32_t rest, const uint8_t *data, uint32_t n) noexcept nogil:
    while n >= 4:
        rest ^= mdl_load32(data)
        rest = (
            table[3][rest & 0xFF] ^ table[2][rest >> 8 & 0xFF] ^ table[1][rest >> 16 & 0xFF] ^ table[0][rest >> 24]
        )
        data += 4
        n -= 4
    while n:
        rest = rest >> 8 ^ table[0][(rest ^ data[0]) & 0xFF]
        data += 1
        n -= 1
    return rest


cdef uint32_t fcs(const uint8_t *data, uint32_t n) noexcept nogil:
    return ~_run(_ethernet, 0xFFFFFFFF, data, n)


cdef uint32_t crc32c(const uint8_t *data, uint32_t n, uint32_t hole) noexcept nogil:
    cdef uint8_t[4] zeros
    zeros[0] = zeros[1] = zeros[2] = zeros[3] = 0
    cdef uint32_t rest = _run(_castagnoli, 0xFFFFFFFF, data, hole)
    rest = _run(_castagnoli, rest, zeros, 4)
    return ~_run(_castagnoli, rest, data + hole + 4, n - hole - 4)
