# SPDX-License-Identifier: BSD-3-Clause
"""How Cython sees steer.h: how a queue is selected."""

from libc.stdint cimport uint8_t, uint32_t


cdef extern from "state/steer.h" nogil:
    enum:
        TUPLES "MDL_TUPLES"

    struct mdl_tuple:
        uint32_t src, dst, src_mask, dst_mask, ports, ports_mask
        uint8_t protocol, any_protocol, queue, pool, any_pool

    struct mdl_steer:
        uint8_t any_etqf, syn, syn_first, mrqe
        uint8_t syn_queue, hash_in_descriptor, ip_payload_sum, rss, simple, keyed, directs, stamps
        uint32_t fields, tuples
        uint8_t *key
        uint8_t *reta
        uint32_t *etqf
        uint32_t *etqs
        mdl_tuple *tuple
        uint32_t (*toeplitz)[256]
