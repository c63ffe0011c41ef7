# SPDX-License-Identifier: BSD-3-Clause
"""Checks of a queue before it is polled, and before it gets memory."""

from dataplane.errors import ConfigError, PortError
from dataplane.memory.mapped import is_memory
from dataplane.pmd.datasheet import limits


cdef uint32_t length_of(queue, memory, size_t status, const tail_t *tail) except 0:
    """Descriptors in that block. Raises ConfigError for what is no descriptor ring, or no register of 32 bits."""
    cdef size_t length = memory.size // limits.DESCRIPTOR_SIZE
    if not 4 <= length <= 65536 or not is_memory(memory.address, memory.size):
        raise ConfigError(f"{queue!r}: {memory!r} is no descriptor ring: expected a Block of an open arena")
    for address in (<size_t> tail.at, status, <size_t> tail.rests if tail.rests != NULL else status):
        if address & 3 or not is_memory(address, 4, write=False):
            raise ConfigError(f"{queue!r}: no register is mapped at address {address:#x}")
    return <uint32_t> length


cdef int check_port(port) except -1:
    """Raise PortError for a queue without a port, or of a closed one. A queue of a stopped port may be polled."""
    if port is None:
        raise PortError("this queue is of no port: take one from port.rx(0) or port.tx(0)")
    if getattr(port, "closed", False):
        raise PortError(f"{port.name} is closed: probe it again")
    return 0


cdef int check_out(Stage queue, gate_t *gate) except -1:
    if queue.poller and gate.paused == 0:
        raise PortError(f"{queue!r} is polled by thread {queue.polled_by}: pause() it, or stop that pipeline")
    return 0
