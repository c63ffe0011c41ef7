# SPDX-License-Identifier: BSD-3-Clause
"""The flow director (datasheet 7.1.2.7): filters in a table of the packet buffer, found by a hash of the packet."""

from libc.stdint cimport uint8_t, uint32_t

from dataplane.pmd.model.classify.packet cimport Parsed
from dataplane.pmd.model.state.port cimport mdl_port

# One of its registers (FDIRCTRL to FDIRIP6M) was written. FDIRCMD: execute the command. True: raise an interrupt.
cdef bint director_written(mdl_port *p, uint32_t word) noexcept nogil

# After a reset: no memory, no filters.
cdef void director_reset(mdl_port *p) noexcept nogil

# KiB of the packet buffer that it has.
cdef uint32_t director_memory(const mdl_port *p) noexcept nogil

# The queue of the filter that a packet of n bytes matches, -1 for none. pool: that of the copy; -1: pools are off. The
# fields for the copy's descriptor are left in p.director.found[copy]; then bit `copy` of p.director.looked is set.
cdef int direct(mdl_port *p, const uint8_t *data, uint32_t n, const Parsed *parsed, int pool, uint32_t copy) noexcept nogil
