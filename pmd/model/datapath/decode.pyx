# SPDX-License-Identifier: BSD-3-Clause
"""From a port's registers to its working state, when registers changed or the port was reset.

`Engine.written` calls this; tables are only marked as dirty then, and the next step decodes them.
"""

from libc.string cimport memset

from dataplane.limits cimport FRAME_STANDARD_WITH_FCS_BYTES
from dataplane.pmd.model.classify.director cimport director_memory, director_reset
from dataplane.pmd.model.classify.filter cimport decode_filter
from dataplane.pmd.model.classify.pools cimport decode_pools
from dataplane.pmd.model.classify.steer cimport decode_steer
from dataplane.pmd.model.datapath.iommu cimport current_epoch
from dataplane.pmd.model.datapath.rsc cimport rsc_forget, rsc_switched
from dataplane.pmd.model.datapath.rxq cimport decode_rxq
from dataplane.pmd.model.datapath.stamps cimport decode_stamps, reset_stamps
from dataplane.pmd.model.datapath.tx cimport decode_txq
from dataplane.pmd.model.state.bytes cimport mdl_swap16
from dataplane.pmd.model.state.fifo cimport mdl_fifo_clear
from dataplane.pmd.model.state.port cimport PACKET_BUFFER
from dataplane.pmd.model.state.queue cimport QUEUES

cdef enum:
    # HLREG0
    TX_CRC_EN = 1 << 0
    RX_CRC_STRIP = 1 << 1
    JUMBOEN = 1 << 2
    TX_PAD_EN = 1 << 10
    LOOPBACK = 1 << 15
    LENGTH_ERRORS = 1 << 27
    # LINKS.SPEED
    SPEED_100M = 1
    SPEED_1G = 2


cdef void reset_port(mdl_port *p) noexcept nogil:
    rsc_forget(p)
    p.merging = p.rsc_on = 0
    mdl_fifo_clear(p.rx_fifo)
    mdl_fifo_clear(p.tx_buffer)
    mdl_fifo_clear(p.switched)
    p.rated[0] = p.rated[1] = 0
    p.credit = p.regs[W_RTTBCNRM] * RATE_CREDIT
    p.qde[0] = p.qde[1] = 0
    p.rx_causes[0] = p.rx_causes[1] = p.tx_causes[0] = p.tx_causes[1] = 0
    p.other_causes = p.tx_next = 0
    memset(p.tx_turn, 0, sizeof(p.tx_turn))
    p.epoch = current_epoch()
    reset_stamps(p)


cdef void reset_queues(mdl_port *p) noexcept nogil:
    cdef uint32_t index
    for index in range(QUEUES):
        p.rxq[index].enabled = p.txq[index].enabled = 0
        p.txq[index].rate = 0
    decode_queues(p)
    director_reset(p)
    p.dirty = DIRTY_FILTER | DIRTY_STEER | DIRTY_POOLS | DIRTY_RSC


cdef void decode_queues(mdl_port *p) noexcept nogil:
    cdef uint32_t index
    for index in range(QUEUES):
        decode_rxq(p, index)
        decode_txq(p, index)


cdef void decode_tables(mdl_port *p) noexcept nogil:
    cdef uint32_t index
    if p.dirty & DIRTY_FILTER:
        decode_filter(&p.filter, p.regs)
    if p.dirty & DIRTY_STEER:
        decode_steer(&p.steer, p.regs)
    if p.dirty & DIRTY_POOLS:
        decode_pools(p)
    if p.dirty & DIRTY_RSC and rsc_switched(p):
        for index in range(QUEUES):
            if p.rxq[index].enabled:
                decode_rxq(p, index)
    p.dirty = 0


cdef void decode_port(mdl_port *p, uint8_t pace) noexcept nogil:
    cdef uint32_t *r = p.regs
    cdef uint32_t hlreg0 = r[W_HLREG0], index, sizes = 0, speed = r[W_LINKS] >> 28 & 3
    p.crc_strip = (hlreg0 & RX_CRC_STRIP) != 0
    p.tx_crc = (hlreg0 & TX_CRC_EN) != 0
    p.tx_pad = (hlreg0 & TX_PAD_EN) != 0
    p.tx_plain = p.tx_crc and p.tx_pad
    p.loopback = (hlreg0 & LOOPBACK) != 0
    p.length_check = (hlreg0 & LENGTH_ERRORS) != 0
    p.tx_on = r[W_DMATXCTL] & 1
    p.tx_vlan_type = mdl_swap16(r[W_DMATXCTL] >> 16)
    p.tx_max = r[W_MAXFRS] >> 16 if hlreg0 & JUMBOEN else FRAME_STANDARD_WITH_FCS_BYTES
    p.rx_held = r[W_SECRXCTRL] >> 1 & 1
    p.stats_queue = r[W_RXDSTATCTRL] & 0x1F
    p.many_queues = r[W_MTQC] != 0
    p.slow = 10 if speed == SPEED_1G else 100 if speed == SPEED_100M else 1
    decode_stamps(p, 10 if pace == SPEED_1G else 1)
    for index in range(8):
        sizes += r[W_RXPBSIZE + index] & 0xFFC00
    p.rx_fifo.limit = min(sizes, PACKET_BUFFER - (director_memory(p) << 10))
