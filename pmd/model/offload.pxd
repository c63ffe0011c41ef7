# SPDX-License-Identifier: BSD-3-Clause
"""What the transmit side does to a frame before it leaves (datasheet 7.2.4, 7.2.5)."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from pmd.model.model cimport mdl_context


# IXSM: the IPv4 header checksum. False if the header that the context describes is not within the n bytes.
cdef bint insert_ip_checksum(uint8_t *data, uint32_t n, const mdl_context *c) noexcept nogil

# TXSM: TCP, UDP (software has seeded the pseudo-header's sum) or SCTP. False likewise.
cdef bint insert_l4_checksum(uint8_t *data, uint32_t n, const mdl_context *c) noexcept nogil

# Legacy IC: sum from `start` to the end, to `offset`. False if they are not within the n bytes.
cdef bint insert_sum(uint8_t *data, uint32_t n, uint32_t start, uint32_t offset) noexcept nogil

# A tag of that type (network order) behind the addresses; `room` for 4 more bytes is the caller's. Returns n + 4.
cdef uint32_t insert_tag(uint8_t *data, uint32_t n, uint16_t raw_type, uint16_t tci) noexcept nogil
