# SPDX-License-Identifier: BSD-3-Clause
"""Stage: whatever `>>` can join. Queues of ports and apps are stages."""


from libc.stdint cimport uint32_t


cdef class Stage:
    # Set from the hot path, without the GIL, when the stage can no longer do its work: an errno or another
    # number that `fault_error()` explains. The lcore stops its pipeline and raises that error.
    cdef volatile int fault
    # Thread number (gettid) of its poller while that is inside compiled code without the GIL; 0: not polled. `claim` and
    # `release` read and write it, under the GIL only.
    cdef uint32_t poller
    cpdef object fault_error(self)
    # See whether the device behind a queue is there, and set `fault` if it is gone. Its poller calls it some times a second
    # while nothing moves: polls may be rare then, so counting them does not do.
    cdef void look(self) noexcept nogil
    # Raise if it cannot be polled: half made (by `__new__`), never started, closed. `claim` calls it, under the GIL.
    cdef int check_ready(self) except -1


# One poller at a time: before the GIL is let go with a stage in hand, and after. `claim` raises GraphError, naming the thread
# that has it, and what `check_ready` raises.
cdef int claim(Stage stage) except -1
cdef void release(Stage stage) noexcept
