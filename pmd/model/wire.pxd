# SPDX-License-Identifier: BSD-3-Clause
"""What joins model ports in one process."""

from libc.stdint cimport uint32_t, uint64_t

from dataplane.pmd.model.engine cimport Engine, Wire
from dataplane.pmd.model.model cimport mdl_fifo


# One direction of a wire that is not perfect.
cdef struct Lane:
    mdl_fifo *flight  # frames that have left the sender
    uint64_t random
    uint64_t free_at  # ns: when the wire has carried the frame before
    uint64_t lost
    uint64_t corrupted


cdef class PortWire(Wire):
    cdef readonly Engine a, b
    cdef readonly double loss, corrupt
    cdef readonly uint64_t delay_ns
    cdef readonly object rate
    cdef readonly bint elastic
    cdef double _ns_per_byte
    cdef uint64_t _loss_below, _corrupt_below
    cdef Lane[2] _lanes  # a to b, b to a
    cdef bint _perfect


cdef class LoopPlug(Wire):
    cdef readonly Engine port
