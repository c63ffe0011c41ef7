# SPDX-License-Identifier: BSD-3-Clause
"""Copies of packets: an mbuf has one owner, so each further user gets a copy."""

from dataplane.mbuf cimport mbuf, mempool_t

# A packet of mbufs of `pool` with the same bytes and metadata, its user area too, or NULL if the pool has too few mbufs.
cdef mbuf *copy_packet(mempool_t *pool, mbuf *source) noexcept nogil
