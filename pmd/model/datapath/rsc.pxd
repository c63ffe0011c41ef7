# SPDX-License-Identifier: BSD-3-Clause
"""Receive side coalescing: packets of one TCP connection become one large packet (datasheet 7.11)."""

from libc.stdint cimport uint32_t

from dataplane.pmd.model.classify.packet cimport Parsed
from dataplane.pmd.model.datapath.rx_ring cimport Visit
from dataplane.pmd.model.state.fifo cimport mdl_frame
from dataplane.pmd.model.state.port cimport mdl_port

# A frame for a queue that merges, which `v` has entered: TAKEN, DROPPED, or APART when it needs descriptors of its own.
cdef int rsc_put(
    mdl_port *p, Visit *v, uint32_t index, mdl_frame *frame, const Parsed *parsed, uint32_t info, uint32_t hash
) noexcept nogil

# Complete what has waited for as long as it may. Returns how many packets that were.
cdef uint32_t rsc_due(mdl_port *p) noexcept nogil

# The queue stops merging: complete its packets, or forget them if it is off already or may not reach memory.
cdef void rsc_end(mdl_port *p, uint32_t index) noexcept nogil

# The port was reset, or may not reach memory.
cdef void rsc_forget(mdl_port *p) noexcept nogil

# Decode what is said for all queues. Whether that changes anything for them: then decode those that are enabled, too.
cdef bint rsc_switched(mdl_port *p) noexcept nogil
