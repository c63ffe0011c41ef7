# SPDX-License-Identifier: BSD-3-Clause
"""How Cython sees queue.h: Rx and Tx queues."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from dataplane.pmd.model.state.domain cimport mdl_domain


cdef extern from "state/queue.h" nogil:
    enum:
        QUEUES "MDL_QUEUES"

    struct mdl_rxq:
        mdl_domain *domain
        uint8_t *ring
        volatile uint32_t *tail
        volatile uint32_t *head_reg
        uint32_t n, head, buffer
        uint8_t enabled, stalled, drop, legacy, strip, set, warned, usual, doubtful
        uint8_t merges, rsc_most, rsc_stamps, rsc_warned
        uint64_t base
        uint32_t bad_tail

    struct mdl_context:
        uint16_t vlan
        uint8_t mac_len, l4_len
        uint16_t ip_len, mss
        uint8_t ipv4, l4_type, fcoe

    struct mdl_txq:
        mdl_domain *domain
        uint8_t *ring
        volatile uint32_t *head_reg
        uint32_t n, head
        uint8_t enabled, stalled, set, wthresh, head_wb, warned
        uint32_t written, bad_tail, segments_sent, rate
        uint64_t base, head_address, idle_at
        uint16_t port_tag
        uint8_t tagging, sender
        mdl_context *context
