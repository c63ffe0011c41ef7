# SPDX-License-Identifier: BSD-3-Clause
"""Time: the TSC for intervals, ns since the epoch for timestamps.

The TSC's frequency is measured once, at import, against CLOCK_MONOTONIC_RAW over 20 ms. The wall clock is the
TSC plus an offset; it is re-anchored to CLOCK_REALTIME whenever a second has passed, so NTP's slewing is followed.
"""

from libc.stdint cimport int64_t, uint64_t
from posix.time cimport CLOCK_MONOTONIC_RAW, CLOCK_REALTIME, clock_gettime, timespec

from dataplane.machine cimport cas, pause, tsc, unlock

from dataplane.errors import DataplaneError


cdef extern from *:
    """
    #if defined(__x86_64__)
    #include <cpuid.h>
    static int dp_tsc_is_invariant(void)
    {
        unsigned a, b, c, d;
        if (__get_cpuid(0x80000007, &a, &b, &c, &d) && (d >> 8 & 1)) return 1;
        /* Hypervisors keep the flag to themselves lest a guest be moved elsewhere; the counter they give runs evenly. */
        return __get_cpuid(1, &a, &b, &c, &d) && (c >> 31 & 1);
    }
    #else
    static int dp_tsc_is_invariant(void) { return 1; }
    #endif
    """
    int dp_tsc_is_invariant()

cdef double _hz = 0.0
cdef double _ns_per_cycle = 0.0
cdef uint64_t _tsc_at_import = 0
cdef uint64_t _anchor_tsc = 0
cdef uint64_t _anchor_wall = 0
cdef unsigned int _anchor_lock = 0


cdef uint64_t _read(int clock) noexcept nogil:
    cdef timespec t
    clock_gettime(clock, &t)
    return <uint64_t> t.tv_sec * 1000000000 + t.tv_nsec


cdef void _pair(int clock, uint64_t *cycles, uint64_t *ns) noexcept nogil:
    """A TSC and a clock read at the same moment: the tightest of eight tries."""
    cdef uint64_t before, after, now, best = <uint64_t> -1
    for _ in range(8):
        before = tsc()
        now = _read(clock)
        after = tsc()
        if after - before < best:
            best = after - before
            cycles[0] = before + best // 2
            ns[0] = now


cdef void _calibrate() noexcept nogil:
    global _hz, _ns_per_cycle, _tsc_at_import
    cdef uint64_t tsc0, tsc1, ns0, ns1
    _pair(CLOCK_MONOTONIC_RAW, &tsc0, &ns0)
    while _read(CLOCK_MONOTONIC_RAW) - ns0 < 20_000_000:
        pause()
    _pair(CLOCK_MONOTONIC_RAW, &tsc1, &ns1)
    _hz = <double> (tsc1 - tsc0) * 1e9 / <double> (ns1 - ns0)
    _ns_per_cycle = 1e9 / _hz
    _tsc_at_import = tsc0


cdef double tsc_hz() noexcept nogil:
    return _hz


cdef uint64_t mono_ns() noexcept nogil:
    return <uint64_t> (<double> (tsc() - _tsc_at_import) * _ns_per_cycle)


cdef uint64_t wall_ns() noexcept nogil:
    global _anchor_tsc, _anchor_wall
    cdef uint64_t now = tsc()
    cdef int64_t age = <int64_t> (now - _anchor_tsc)
    if age > <int64_t> _hz and cas(&_anchor_lock, 0, 1):
        _pair(CLOCK_REALTIME, &_anchor_tsc, &_anchor_wall)
        unlock(&_anchor_lock)
        age = <int64_t> (now - _anchor_tsc)
    return _anchor_wall + <int64_t> (<double> age * _ns_per_cycle)


def hz():
    """Cycles of the time-stamp counter in a second (float)."""
    return _hz


def now_ns():
    """ns since the epoch (int), by the TSC."""
    return wall_ns()


def cycles():
    """The time-stamp counter (int)."""
    return tsc()


if not dp_tsc_is_invariant():
    raise DataplaneError("this CPU's time-stamp counter changes its rate with the clock: nothing can be paced by it")
_calibrate()
_pair(CLOCK_REALTIME, &_anchor_tsc, &_anchor_wall)
