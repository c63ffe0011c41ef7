# SPDX-License-Identifier: BSD-3-Clause
"""An Rx queue as its registers say."""

from libc.stdint cimport uint32_t

from dataplane.pmd.model.state.port cimport mdl_port
from dataplane.pmd.model.state.queue cimport mdl_rxq

# Queue `index` from its registers: after a write to one of them, and when the DMA map changed.
cdef void decode_rxq(mdl_port *p, uint32_t index) noexcept nogil

# The first frame has come for a queue that is `doubtful`: note what is wrong with its SRRCTL, which did no harm before.
cdef void doubt(mdl_port *p, mdl_rxq *q, uint32_t index) noexcept nogil
