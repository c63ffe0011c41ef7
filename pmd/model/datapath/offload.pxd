# SPDX-License-Identifier: BSD-3-Clause
"""Offloads of the transmit side: checksums and VLAN tags (datasheet 7.2.4, 7.2.5)."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from dataplane.pmd.model.state.port cimport mdl_port
from dataplane.pmd.model.state.queue cimport mdl_context, mdl_txq


# IXSM: the IPv4 header checksum. False if the header that the context describes is not within the n bytes.
cdef bint insert_ip_checksum(uint8_t *data, uint32_t n, const mdl_context *c) noexcept nogil

# TXSM: TCP, UDP (software has seeded the pseudo-header's sum) or SCTP. False likewise.
cdef bint insert_l4_checksum(uint8_t *data, uint32_t n, const mdl_context *c) noexcept nogil

# Legacy IC: sum from `start` to the end, to `offset`. False if they are not within the n bytes.
cdef bint insert_sum(uint8_t *data, uint32_t n, uint32_t start, uint32_t offset) noexcept nogil

# The VLAN tag of a frame of *n bytes, behind its addresses: the one that its descriptor asks for (`tci`), or its pool's.
# Room for 4 more bytes is the caller's. False: the frame must not be sent.
cdef bint tag_frame(mdl_port *p, mdl_txq *q, bint asked, uint16_t tci, uint8_t *data, uint32_t *n) noexcept nogil
