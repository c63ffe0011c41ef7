# SPDX-License-Identifier: BSD-3-Clause
"""From the Tx buffer of a port with pools to its pools and to the wire."""

from dataplane.pmd.model.datapath.mac_stats cimport Tally
from dataplane.pmd.model.state.fifo cimport mdl_fifo
from dataplane.pmd.model.state.port cimport mdl_port

# Send on what is in the Tx buffer, and note what leaves for the wire. False: it waits for room somewhere.
cdef bint switch_out(mdl_port *p, mdl_fifo *wire, Tally *sent) noexcept nogil
