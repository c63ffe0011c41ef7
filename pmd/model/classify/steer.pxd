# SPDX-License-Identifier: BSD-3-Clause
"""To which queues a frame goes (datasheet 7.1.2)."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from dataplane.pmd.model.classify.packet cimport Parsed
from dataplane.pmd.model.state.port cimport mdl_port
from dataplane.pmd.model.state.steer cimport mdl_steer

cdef enum:
    MAX_TARGETS = 64  # a copy a pool


# MRQC, RETA, the key, 5-tuple, EtherType and SYN filters, decoded from the register file.
cdef void decode_steer(mdl_steer *s, uint32_t *regs) noexcept nogil

# Who gets a frame: the Rx queues, how many, and what their descriptors shall say (RSS type and EtherType filter; hash).
cdef struct QueueChoice:
    uint32_t n
    uint32_t info
    uint32_t hash
    uint8_t[MAX_TARGETS] queue


# `pools`: who gets a copy, where there are pools; else there is one.
cdef void choose(mdl_port *port, const uint8_t *data, const Parsed *p, uint64_t pools, QueueChoice *choice) noexcept nogil

# Where the flow director works: its word on each copy of that choice, for a frame of n bytes. More of it is in port.director.
cdef void redirect(mdl_port *port, const uint8_t *data, uint32_t n, const Parsed *p, QueueChoice *choice) noexcept nogil
