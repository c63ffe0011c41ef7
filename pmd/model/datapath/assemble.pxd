# SPDX-License-Identifier: BSD-3-Clause
"""One packet from any descriptors that a driver may write: legacy, advanced, context; several; nonsense."""

from libc.stdint cimport uint32_t

from dataplane.pmd.model.datapath.mac_stats cimport Tally
from dataplane.pmd.model.state.fifo cimport mdl_fifo
from dataplane.pmd.model.state.port cimport mdl_port

cdef enum:
    NOT_YET = 0  # the packet's last descriptor is not there, or cannot be read
    NO_ROOM = -1  # the wire takes no more
    AGAIN = -2  # some segments of it have gone, and it waits for the queue's next turn


# The packet or the context that starts at descriptor `at`; of one that is to be cut at most `most` segments. Returns how many
# descriptors it took, sent or not; NOT_YET, NO_ROOM or AGAIN if it has to wait.
cdef int assemble(
    mdl_port *p, uint32_t index, uint32_t at, uint32_t tail, uint32_t most, mdl_fifo *out, Tally *tally
) noexcept nogil
