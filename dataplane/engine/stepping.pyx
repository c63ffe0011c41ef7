# SPDX-License-Identifier: BSD-3-Clause
"""Loops of several lcores in one thread, by turns: for the Stepper."""

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free, malloc

from dataplane.engine.lcore cimport DONE, FAULT, Loop
from dataplane.machine cimport tsc

cdef enum:
    FOREVER = -1


def run_laps_by_turns(loops, laps, *, bint ending=False):
    """Let loops in this thread do `laps` laps by turns; after each lap all hand-offs between them are empty.

    ending: poll no source, and let apps send what they hold. Returns whether all of them are done. Raises the error of a stage
    that failed, and what `Loop.run_laps` raises.
    """
    cdef list acquired = []
    cdef void **each = <void **> malloc((len(loops) + 1) * sizeof(void *))
    cdef uint64_t left = laps
    cdef int i, why = 0, n = len(loops)
    cdef bint over = False
    if each == NULL:
        raise MemoryError()
    try:
        for i, loop in enumerate(loops):
            (<Loop?> loop).plan.acquire()
            acquired.append(loop)
            each[i] = <void *> loop
            if (<Loop> loop).began == 0:
                (<Loop> loop).began = tsc()
        with nogil:
            while left and not over and why != FAULT:
                over = not ending
                for i in range(n):
                    if ending:
                        (<Loop> each[i]).plan.flush()
                        why = (<Loop> each[i])._fault((<Loop> each[i]).plan)
                    else:
                        why = (<Loop> each[i])._run_laps((<Loop> each[i]).plan, 1, FOREVER)
                    if why == FAULT:
                        break
                    if why != DONE:
                        over = False
                _settle(each, n)
                left -= 1
            for i in range(n):
                (<Loop> each[i]).ended = tsc()
    finally:
        free(each)
        for loop in acquired:
            (<Loop> loop).plan.give_back()
    if why == FAULT:
        for loop in loops:
            fault = (<Loop> loop).plan.fault()
            if fault is not None:
                raise fault
    return over


cdef void _settle(void **loops, int n) noexcept nogil:
    """Take what is in hand-offs between loops of one thread."""
    cdef uint32_t moved = 1
    cdef int i
    while moved:
        moved = 0
        for i in range(n):
            moved += (<Loop> loops[i]).plan.take()
