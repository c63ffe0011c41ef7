# SPDX-License-Identifier: BSD-3-Clause
"""How Cython sees port.h: the state of one port."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from dataplane.pmd.model.state.director cimport mdl_director
from dataplane.pmd.model.state.domain cimport mdl_domain
from dataplane.pmd.model.state.fifo cimport mdl_fifo
from dataplane.pmd.model.state.filter cimport mdl_filter
from dataplane.pmd.model.state.pools cimport mdl_pools
from dataplane.pmd.model.state.queue cimport mdl_rxq, mdl_txq
from dataplane.pmd.model.state.rsc cimport mdl_rsc
from dataplane.pmd.model.state.stamps cimport mdl_stamps
from dataplane.pmd.model.state.steer cimport mdl_steer
from dataplane.pmd.model.state.violation cimport mdl_violation


cdef extern from "state/port.h" nogil:
    enum:
        PACKET_BUFFER "MDL_PACKET_BUFFER"
        DIRTY_FILTER "MDL_DIRTY_FILTER"
        DIRTY_STEER "MDL_DIRTY_STEER"
        DIRTY_POOLS "MDL_DIRTY_POOLS"
        DIRTY_RSC "MDL_DIRTY_RSC"

    struct mdl_port:
        uint32_t *regs
        mdl_domain *domain
        mdl_fifo *rx_fifo
        mdl_fifo *tx_fifo
        mdl_fifo *tx_buffer
        mdl_fifo *switched
        uint8_t *scratch
        uint8_t link, elastic, loopback, rx_held
        uint8_t tx_on, crc_strip, tx_plain, length_check, tx_pad, tx_crc, many_queues, waits, pooled, merging, rsc_on, rsc_open
        uint32_t rx_limit
        uint32_t epoch, dirty
        uint64_t now_ns
        uint64_t *rx_enabled
        uint64_t *tx_enabled
        uint64_t *qde
        uint64_t *tx_gate
        uint64_t *tx_due
        uint64_t *rated
        uint32_t credit, slow
        uint64_t *rx_causes
        uint64_t *tx_causes
        uint32_t other_causes, tx_next
        uint8_t[64] tx_turn
        uint16_t tx_vlan_type
        uint32_t tx_max, stats_queue
        uint8_t pool_shift
        uint64_t vf_pools
        mdl_domain **domain_of_pool
        mdl_filter filter
        mdl_steer steer
        mdl_director *director
        mdl_pools vt
        uint8_t wired, wire_steps
        const bint *peer_lit
        const uint8_t *peer_pace
        uint64_t line_at
        mdl_stamps stamps
        mdl_rsc *rsc
        uint64_t violations
        mdl_violation *violation
        volatile uint32_t **rx_tail
        volatile uint32_t **tx_tail
        volatile uint32_t **tx_bell
        uint32_t *tx_at
        mdl_rxq *rxq
        mdl_txq *txq

    void mdl_violate(mdl_port *p, int code, uint32_t queue, uint32_t index, uint64_t value)
    mdl_port *mdl_port_new(size_t scratch)
    void mdl_port_free(mdl_port *p)
