# SPDX-License-Identifier: BSD-3-Clause
"""From the Tx descriptors to the wire."""

from libc.stdint cimport uint32_t

from dataplane.pmd.model.state.port cimport mdl_port


# Send up to `budget` packets, round robin over the queues. Returns how many descriptors' worth of packets were taken.
cdef uint32_t tx_step(mdl_port *p, uint32_t budget) noexcept nogil

# Queue `index` from its registers: after a write to one of them, and when the DMA map changed.
cdef void decode_txq(mdl_port *p, uint32_t index) noexcept nogil
