# SPDX-License-Identifier: BSD-3-Clause
"""Which lcore this thread is, and which cores there are.

An lcore is a thread that polls. It takes a number for as long as it lives (`enter` .. `leave`): mempools
keep one cache for each number. Any other thread has none and works on the pools themselves.
"""

import os
import threading

from dataplane.errors import ConfigError

cdef extern from *:
    """
    static _Thread_local unsigned int dp_this_lcore = DP_LCORE_NONE;
    """
    unsigned int dp_this_lcore

# A C variable: the interpreter's end clears what the module's own globals refer to, not this.
cdef list _for_good = []

_numbers = threading.Lock()
_free = list(range(MAX_LCORE - 1, -1, -1))


cdef unsigned int lcore_id() noexcept nogil:
    return dp_this_lcore


def current_lcore():
    """The lcore number of the calling thread, or None."""
    return None if dp_this_lcore == LCORE_NONE else dp_this_lcore


def enter(cpu=None):
    """Make the calling thread an lcore and pin it to `cpu` (None: wherever the scheduler puts it).

    Returns its number. Raises ConfigError if the CPU cannot be used or all lcores are taken.
    """
    global dp_this_lcore
    if dp_this_lcore != LCORE_NONE:
        raise ConfigError(f"this thread is lcore {dp_this_lcore} already: leave() first")
    if cpu is not None:
        try:
            os.sched_setaffinity(0, {cpu})
        except (OSError, ValueError, OverflowError) as error:
            usable = ",".join(map(str, usable_cpus()))
            raise ConfigError(f"lcore cannot run on CPU {cpu} ({error}): usable are {usable}") from None
    with _numbers:
        if not _free:
            raise ConfigError(f"all {MAX_LCORE} lcores are taken: stop a pipeline first")
        dp_this_lcore = _free.pop()
    return dp_this_lcore


def leave():
    """Give the number of the calling thread back. The caches of that number stay in their mempools."""
    global dp_this_lcore
    cdef unsigned int number = dp_this_lcore
    if number == LCORE_NONE:
        return
    dp_this_lcore = LCORE_NONE  # before another thread may take the number: two would use one cache
    with _numbers:
        _free.append(number)


def keep_for_good(thing):
    """Keep `thing` until the process ends, even past the end of the interpreter: memory that a thread may still use."""
    _for_good.append(thing)


def free_lcores():
    """How many more threads can become an lcore."""
    with _numbers:
        return len(_free)


def usable_cpus():
    """The CPUs this process may run on, in ascending order."""
    return sorted(_initial_affinity)


# Taken at import: pinning a thread that was forked off must not narrow what others see.
_initial_affinity = os.sched_getaffinity(0)
