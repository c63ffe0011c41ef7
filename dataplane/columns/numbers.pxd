# SPDX-License-Identifier: BSD-3-Clause
"""Whole numbers for the packets of a burst, from an int or a NumPy array."""

cimport numpy as cnp
from libc.stdint cimport uint64_t

# `value` as an int, or as an array of whole numbers or bool, which `numbers_of` reads without running any Python. May run
# Python. app: for errors. Raises BurstError.
cdef object ready(str app, object value)

# One number for each of n packets, from what `ready` returned; sign-extended to 64 bits. Returns `room` (n numbers), or the
# array's own memory, which the caller keeps alive. Runs no Python except to raise BurstError.
cdef const uint64_t *numbers_of(str app, int n, object value, uint64_t *room) except NULL


cdef inline bint is_ready(object value) noexcept:
    """Whether `ready` would return it as it is; what columns usually are."""
    return type(value) is int or (
        cnp.PyArray_CheckExact(value) and cnp.PyArray_ISBEHAVED_RO(<cnp.ndarray> value)
        and cnp.PyTypeNum_ISINTEGER(cnp.PyArray_TYPE(<cnp.ndarray> value))
    )


cdef inline int kind_of(int width) noexcept:
    """The narrowest unsigned type of at least `width` bytes."""
    return (
        cnp.NPY_UINT8 if width == 1 else cnp.NPY_UINT16 if width == 2 else cnp.NPY_UINT32 if width <= 4
        else cnp.NPY_UINT64
    )
