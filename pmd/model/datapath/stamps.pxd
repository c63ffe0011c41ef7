# SPDX-License-Identifier: BSD-3-Clause
"""The clock of a port, and the stamps that packets get from it (datasheet 7.9)."""

from libc.stdint cimport uint32_t, uint64_t

from dataplane.pmd.model.classify.packet cimport Parsed
from dataplane.pmd.model.state.fifo cimport mdl_frame
from dataplane.pmd.model.state.port cimport mdl_port
from dataplane.pmd.model.state.stamps cimport mdl_stamps


# Ports of this process that stamp what they receive: while there are any, every sender knows the time of each step.
cdef int stampers

# ns by the clock of the card.
cdef uint64_t time_of(const mdl_stamps *s) noexcept nogil

# TSYNCRXCTL, TSYNCTXCTL, RXMTRL and TIMINCA may have changed, or the speed that the port is set up for. slow: its clock's
# period over 6.4 ns.
cdef void decode_stamps(mdl_port *p, uint32_t slow) noexcept nogil

# After a reset of the port: SYSTIM is 0.
cdef void reset_stamps(mdl_port *p) noexcept nogil

# A frame with the descriptor's 1588 bit leaves (NULL: it is lost on its way). Frames behind it are as late.
cdef void stamp_departure(mdl_port *p, mdl_frame *frame) noexcept nogil

# A frame that the MAC has let in, while TSYNCRXCTL.ENABLE is 1. Sets TS in parsed.status if the registers are its own.
cdef void stamp_arrival(mdl_port *p, mdl_frame *frame, Parsed *parsed) noexcept nogil
