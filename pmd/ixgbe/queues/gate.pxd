# SPDX-License-Identifier: BSD-3-Clause
"""Keeps the poller of a queue out while the queue is taken apart."""

from libc.stdint cimport uint32_t

from dataplane.machine cimport read32, rmb, unlikely, wmb, write32


# busy: 1 while a call works on the queue. paused: how many callers of `pause_gate` keep pollers out.
cdef struct gate_t:
    uint32_t busy
    uint32_t paused


cdef inline bint enter(gate_t *gate) noexcept nogil:
    """Two plain stores and a load a burst: the fence that keeps their order is paid for by `pause_gate`."""
    write32(&gate.busy, 1)
    rmb()  # the compiler must not read anything of the queue before it has read `paused`
    if unlikely(read32(&gate.paused) != 0):
        write32(&gate.busy, 0)
        return False
    return True


cdef inline void leave(gate_t *gate) noexcept nogil:
    wmb()
    write32(&gate.busy, 0)


# Returns when no call works on the queue any more. Raises DeviceError after 5 s.
cdef pause_gate(gate_t *gate, queue)
# Ends one pause. Raises DeviceError if the gate is not paused.
cdef resume_gate(gate_t *gate)
