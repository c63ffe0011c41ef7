# SPDX-License-Identifier: BSD-3-Clause
"""How Cython sees domain.h: DMA of a function."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t


cdef extern from "state/domain.h" nogil:
    enum:
        READ "MDL_READ"
        WRITE "MDL_WRITE"
        RX_DESC_FETCH "MDL_RX_DESC_FETCH"
        RX_DESC_WRITE "MDL_RX_DESC_WRITE"
        RX_DATA "MDL_RX_DATA"
        TX_DESC_FETCH "MDL_TX_DESC_FETCH"
        TX_DESC_WRITE "MDL_TX_DESC_WRITE"
        TX_DATA "MDL_TX_DATA"
        TX_HEAD_WRITE "MDL_TX_HEAD_WRITE"
        FAULTS "MDL_FAULTS"

    struct mdl_range:
        uint64_t iova, size
        uint8_t *host
        uint32_t perms

    struct mdl_fault:
        uint64_t iova
        uint32_t length
        uint16_t queue
        uint8_t what, write

    struct mdl_domain:
        uint64_t hit_iova, hit_size
        uint8_t *hit_host
        uint32_t hit_perms
        uint32_t count
        mdl_range *ranges
        uint32_t room
        uint32_t generation
        uint64_t faults
        mdl_fault *fault
