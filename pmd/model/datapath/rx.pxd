# SPDX-License-Identifier: BSD-3-Clause
"""From the packet buffer to the Rx descriptors."""

from libc.stdint cimport uint32_t

from dataplane.pmd.model.state.port cimport mdl_port


# Move up to `budget` frames. Returns how many left the packet buffer.
cdef uint32_t rx_step(mdl_port *p, uint32_t budget) noexcept nogil
