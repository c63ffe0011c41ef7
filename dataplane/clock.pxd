# SPDX-License-Identifier: BSD-3-Clause
"""Time: the TSC for intervals, ns since the epoch for timestamps."""

from libc.stdint cimport uint64_t

# Cycles of the time-stamp counter in a second. Constant after import.
cdef double tsc_hz() noexcept nogil

# ns since the epoch by CLOCK_REALTIME, read from the TSC: about 20 cycles.
cdef uint64_t wall_ns() noexcept nogil

# ns on a clock that never jumps (CLOCK_MONOTONIC_RAW's rate), read from the TSC.
cdef uint64_t mono_ns() noexcept nogil
