# SPDX-License-Identifier: BSD-3-Clause
"""How Cython sees rsc.h: packets that are being merged."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t


cdef extern from "state/rsc.h" nogil:
    enum:
        RSC_CONTEXTS "MDL_RSC_CONTEXTS"
        RSC_HEADER "MDL_RSC_HEADER"

    struct mdl_rsc:
        uint8_t open, tagged, stamped, tos
        uint16_t queue, tci
        uint32_t src, dst, ports, next
        uint32_t info, hash, status
        uint32_t packets, started, descriptors, at, filled, bytes
        uint16_t l3, l4, header_size, vector
        uint64_t first, buffer, due
        uint8_t *header
