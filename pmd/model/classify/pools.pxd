# SPDX-License-Identifier: BSD-3-Clause
"""Which pools a frame goes to (datasheet 7.10.3)."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from dataplane.pmd.model.state.port cimport mdl_port

# The registers of pools, and what they mean for queues. Called when one of them has changed, after decode_filter.
cdef void decode_pools(mdl_port *p) noexcept nogil

# The pools that get a frame of n bytes (at least 14) from the wire. `etype`: behind its tags, host order.
cdef uint64_t pools_of_arrival(mdl_port *p, const uint8_t *data, uint32_t n, uint16_t etype) noexcept nogil

# The pools that get a frame which pool `sender` sends; sets *leaves if the wire gets it, too.
cdef uint64_t pools_of_departure(
    mdl_port *p, const uint8_t *data, uint32_t n, uint32_t sender, bint *leaves
) noexcept nogil

# Whether the frame has an address and a VLAN of the pool that sends it, as far as that is checked (7.10.3.9.2).
cdef bint honest(mdl_port *p, const uint8_t *data, uint32_t n, uint32_t sender) noexcept nogil
