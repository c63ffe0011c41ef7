# SPDX-License-Identifier: BSD-3-Clause
"""Cyclic checksums: the frame's FCS and SCTP's. The Internet checksum is `mdl_sum` in model.h."""

from libc.stdint cimport uint8_t, uint32_t


# The FCS of n bytes, as its four bytes lie in the frame (IEEE 802.3).
cdef uint32_t fcs(const uint8_t *data, uint32_t n) noexcept nogil

# CRC-32C of n bytes in which the four at `hole` count as 0 (SCTP, RFC 9260), as its bytes lie in the packet.
cdef uint32_t crc32c(const uint8_t *data, uint32_t n, uint32_t hole) noexcept nogil
