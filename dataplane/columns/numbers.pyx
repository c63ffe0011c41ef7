# SPDX-License-Identifier: BSD-3-Clause
"""Whole numbers for the packets of a burst, from an int or a NumPy array."""

import numpy as np

cimport numpy as cnp
from libc.stdint cimport int8_t, int16_t, int32_t, uint8_t, uint16_t, uint32_t

from dataplane.errors import BurstError

cnp.import_array()


cdef object ready(str app, object value):
    """`value` as something that `numbers_of` reads without running any Python: an int, or an array of whole numbers or bool."""
    cdef cnp.ndarray array
    cdef int kind
    if isinstance(value, int):
        # A subclass may have operators of its own.
        return value if type(value) is int or type(value) is bool else int.__add__(value, 0)
    array = value if isinstance(value, cnp.ndarray) else np.asarray(value)
    kind = cnp.PyArray_TYPE(array)
    if not (kind == cnp.NPY_BOOL or cnp.PyTypeNum_ISINTEGER(kind)):
        raise BurstError(f"{app}: {(<object> array).dtype} values: whole numbers or bool are needed (astype(np.uint32), say)")
    if not cnp.PyArray_ISBEHAVED_RO(array):
        array = np.array(array, np.uint64)
    return array


cdef const uint64_t *numbers_of(str app, int n, object value, uint64_t *room) except NULL:
    """One whole number for each packet, from what `ready` made of an int or an array; sign-extended to 64 bits.

    They are in `room`, or where the array has them: the caller keeps it alive. Runs no Python except to raise.
    """
    cdef cnp.ndarray array
    cdef uint64_t all_of_them
    cdef cnp.npy_intp stride = 0
    cdef const char *p
    cdef int i, kind
    if isinstance(value, int):
        all_of_them = value & 0xFFFFFFFFFFFFFFFF
        for i in range(n):
            room[i] = all_of_them
        return room
    array = <cnp.ndarray> value
    if cnp.PyArray_NDIM(array) > 1 or cnp.PyArray_NDIM(array) == 1 and cnp.PyArray_DIM(array, 0) != n:
        raise BurstError(
            f"{app}: an array of shape {(<object> array).shape} for a burst of {n} packets: it takes one value each"
        )
    kind = cnp.PyArray_TYPE(array)
    p = cnp.PyArray_BYTES(array)
    if cnp.PyArray_NDIM(array):
        stride = cnp.PyArray_STRIDE(array, 0)
    if stride == 8 and cnp.PyArray_ITEMSIZE(array) == 8:
        return <const uint64_t *> p
    if cnp.PyArray_ITEMSIZE(array) == 1:
        for i in range(n):
            room[i] = <uint64_t> (<const int8_t *> p)[0] if kind == cnp.NPY_INT8 else (<const uint8_t *> p)[0]
            p += stride
    elif cnp.PyArray_ITEMSIZE(array) == 2:
        for i in range(n):
            room[i] = <uint64_t> (<const int16_t *> p)[0] if kind == cnp.NPY_INT16 else (<const uint16_t *> p)[0]
            p += stride
    elif cnp.PyArray_ITEMSIZE(array) == 4:
        for i in range(n):
            room[i] = <uint64_t> (<const int32_t *> p)[0] if cnp.PyTypeNum_ISSIGNED(kind) else (<const uint32_t *> p)[0]
            p += stride
    else:
        for i in range(n):
            room[i] = (<const uint64_t *> p)[0]
            p += stride
    return room
