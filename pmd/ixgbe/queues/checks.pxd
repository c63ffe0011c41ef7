# SPDX-License-Identifier: BSD-3-Clause
"""Checks of a queue before it is polled, and before it gets memory."""

from libc.stdint cimport uint32_t

from dataplane.pmd.ixgbe.queues.gate cimport gate_t
from dataplane.pmd.ixgbe.queues.tail cimport tail_t
from dataplane.stage cimport Stage

# Descriptors in that block. Raises ConfigError for what is no descriptor ring, or no register of 32 bits.
cdef uint32_t length_of(queue, memory, size_t status, const tail_t *tail) except 0
# Raises PortError for a queue without a port. A queue of a stopped port may be polled: it has no packets until the port starts.
cdef int check_port(port) except -1
# Raises PortError for a queue that is polled and not paused.
cdef int check_out(Stage queue, gate_t *gate) except -1
