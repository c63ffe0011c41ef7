# SPDX-License-Identifier: BSD-3-Clause
"""Idle: what an lcore does after laps that found nothing. The one place that says so.

spin: poll again at once. yield: after 64 empty laps in a row, offer the core to other threads between two laps. sleep: after
128, sleep between two laps: 1 us, then twice as long each time, up to a bound; the first packet ends that.
"""

import re

from posix.time cimport nanosleep, timespec

from dataplane.errors import ConfigError


cdef extern from "<sched.h>" nogil:
    int sched_yield()

cdef extern from "<sys/prctl.h>" nogil:
    enum:
        PR_SET_TIMERSLACK
    int prctl(int option, unsigned long value)

cdef enum:
    FIRST_NS = 1000
    BOUND_NS = 100_000
    DOUBLINGS = 30
    SLACK_NS = 1000  # by which the kernel may prolong a sleep; its default is 50,000

_POLICIES = ("spin", "yield", "sleep")
_UNITS = {"us": 1_000, "ms": 1_000_000}


cdef class Idle:
    """An idle policy. text: "spin", "yield", "sleep" (at most 100 us at once), or with another bound: "sleep:20us", "sleep:2ms".

    Raises ConfigError for another text, and for a bound that is not 1 us to 1 s.
    """

    def __init__(self, text="yield"):
        found = re.fullmatch(r"(spin|yield|sleep)|sleep:([0-9]{1,9})(us|ms)", text) if isinstance(text, str) else None
        bound = BOUND_NS if found is None or found[2] is None else int(found[2]) * _UNITS[found[3]]
        if found is None or not 1_000 <= bound <= 1_000_000_000:
            raise ConfigError(
                f"idle={text!r}: must be 'spin', 'yield' or 'sleep', or 'sleep:' and 1us to 1000ms, as in 'sleep:20us'"
            )
        self._policy = _POLICIES.index(found[1] or "sleep")
        self._bound_ns = bound

    @property
    def policy(self):
        """"spin", "yield" or "sleep"."""
        return _POLICIES[self._policy]

    @property
    def bound_us(self):
        """us that one sleep lasts at most; 0.0 if it never sleeps."""
        return self._bound_ns / 1000 if self._policy == SLEEP else 0.0

    cdef bint rest(self, uint64_t empty) noexcept nogil:
        cdef timespec span
        cdef uint64_t ns
        if self._policy == SPIN or empty <= SPINS:
            return False
        if self._policy == YIELD or empty <= SPINS + YIELDS:
            sched_yield()
            return True
        ns = min(<uint64_t> FIRST_NS << min(empty - SPINS - YIELDS - 1, <uint64_t> DOUBLINGS), self._bound_ns)
        span.tv_sec = <long> (ns // 1_000_000_000)
        span.tv_nsec = <long> (ns % 1_000_000_000)
        nanosleep(&span, NULL)  # a signal ends it early, which is as well
        return True

    cdef void enter(self) noexcept nogil:
        if self._policy == SLEEP:
            prctl(PR_SET_TIMERSLACK, SLACK_NS)
