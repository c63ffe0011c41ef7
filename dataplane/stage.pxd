# SPDX-License-Identifier: BSD-3-Clause
"""Stage: whatever `>>` can join. Queues of ports and apps are stages."""


cdef class Stage:
    # Set from the hot path, without the GIL, when the stage can no longer do its work: an errno or another
    # number that `fault_error()` explains. The lcore stops its pipeline and raises that error.
    cdef volatile int fault
    cpdef object fault_error(self)
