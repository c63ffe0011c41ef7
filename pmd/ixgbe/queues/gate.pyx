# SPDX-License-Identifier: BSD-3-Clause
"""Keeps the poller of a queue out while the queue is taken apart. Only the side that takes it apart pays for a fence."""

import time

from dataplane.errors import DeviceError

cdef extern from *:
    """
    #include <sys/syscall.h>
    #include <unistd.h>
    static int dp_register_barrier(void) { return (int)syscall(SYS_membarrier, 1 << 4, 0, 0); }
    static int dp_barrier_everywhere(void) { return (int)syscall(SYS_membarrier, 1 << 3, 0, 0); }
    """
    int dp_register_barrier() nogil     # MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED
    int dp_barrier_everywhere() nogil   # MEMBARRIER_CMD_PRIVATE_EXPEDITED: every thread of this process passes a full fence

cdef bint _fences = dp_register_barrier() == 0


cdef pause_gate(gate_t *gate, queue):
    gate.paused += 1  # under the GIL
    if not _fences or dp_barrier_everywhere():
        time.sleep(0.01)  # Linux before 4.14 has no such call: by then the store has left its buffer
    deadline = time.monotonic() + 5.0
    while read32(&gate.busy):
        if time.monotonic() > deadline:
            resume_gate(gate)
            raise DeviceError(
                f"{queue!r}: an lcore has been within one burst for 5 s: it is stopped, or its process is in a debugger"
            )
        time.sleep(0)


cdef resume_gate(gate_t *gate):
    if gate.paused == 0:
        raise DeviceError("this queue is not paused: resume() it once for each pause()")
    wmb()
    gate.paused -= 1
