# SPDX-License-Identifier: BSD-3-Clause
"""Checksums: the Internet checksum (checksum.h), a frame's FCS and SCTP's CRC-32C."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t


cdef extern from "state/checksum.h" nogil:
    # The Internet checksum of n bytes as 16-bit words in memory order: mdl_fold(mdl_sum(p, n)).
    uint64_t mdl_sum(const uint8_t *p, uint32_t n)
    uint32_t mdl_fold(uint64_t sum)


# The FCS of n bytes in the byte order of the frame (IEEE 802.3).
cdef uint32_t fcs(const uint8_t *data, uint32_t n) noexcept nogil

# CRC-32C of n bytes in the byte order of the packet (SCTP, RFC 9260). The four bytes at `hole` count as 0.
cdef uint32_t crc32c(const uint8_t *data, uint32_t n, uint32_t hole) noexcept nogil
