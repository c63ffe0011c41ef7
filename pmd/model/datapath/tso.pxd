# SPDX-License-Identifier: BSD-3-Clause
"""TCP and UDP segmentation (datasheet 7.2.4)."""

from libc.stdint cimport uint8_t, uint32_t

from dataplane.pmd.model.datapath.mac_stats cimport Tally
from dataplane.pmd.model.state.fifo cimport mdl_fifo
from dataplane.pmd.model.state.port cimport mdl_port
from dataplane.pmd.model.state.queue cimport mdl_context, mdl_txq

cdef enum:
    TSO_PACKET_MAX = (256 << 10) + 1024  # payload and headers


# Bytes of the headers that each segment begins with.
cdef uint32_t headers_of(const mdl_context *c) noexcept nogil

# Whether a packet of n bytes can be cut as the context and its first descriptor's upper word say.
cdef bint segmentable(const mdl_context *c, uint32_t n, uint32_t upper) noexcept nogil

# Send the packet of n bytes at `packet` in segments, from q.segments_sent on, as far as `end`; it is segmentable, and its headers
# and what lies before `end` are there. lower, upper: of its first descriptor. False: the wire is full, and q.segments_sent
# says how far it got.
cdef bint segment(
    mdl_port *p, mdl_txq *q, uint32_t index, uint8_t *packet, uint32_t n, uint32_t end, uint32_t lower, uint32_t upper,
    mdl_fifo *out, Tally *tally,
) noexcept nogil
