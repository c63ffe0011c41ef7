# SPDX-License-Identifier: BSD-3-Clause
"""From a port's registers to its working state (state/port.h)."""

from libc.stdint cimport uint8_t, uint32_t

from dataplane.pmd.datasheet.word cimport *
from dataplane.pmd.model.state.port cimport DIRTY_FILTER, DIRTY_POOLS, DIRTY_RSC, DIRTY_STEER, mdl_port

cdef enum:
    RATE_CREDIT = 1 << 10  # SILENT about the unit of RTTBCNRM: taken as KiB

# After a reset, first: no frame, no cause and no rate is left.
cdef void reset_port(mdl_port *p) noexcept nogil

# After a reset, once the pools are known: all queues are off, and all tables are dirty.
cdef void reset_queues(mdl_port *p) noexcept nogil

# Decode all queues again: the addresses of their rings may have changed.
cdef void decode_queues(mdl_port *p) noexcept nogil

# Decode the tables that are dirty.
cdef void decode_tables(mdl_port *p) noexcept nogil

# Decode the registers of the MAC, DMA and the packet buffer. pace: LINKS.SPEED at which the port sends, 0: none.
cdef void decode_port(mdl_port *p, uint8_t pace) noexcept nogil


cdef inline uint32_t touched(uint32_t offset) noexcept nogil:
    """DIRTY_* of the tables to decode again after a write. MTA, UTA and VFTA are not decoded: the filters read them."""
    cdef uint32_t word = offset >> 2
    if word == W_RXCTRL or W_HLREG0 <= word <= W_LINKS:  # with MAXFRS and MFLCN
        return DIRTY_FILTER | DIRTY_RSC
    if W_RXCSUM <= word < W_MTA:  # from RXCSUM and RFCTL to VT_CTL and VFRE
        return DIRTY_FILTER | DIRTY_STEER | DIRTY_POOLS | DIRTY_RSC
    if W_VMVIR <= word <= W_VMECM + 1 or W_VMOLR <= word < W_UTA or W_MRCTL <= word < W_VMRVM + 8:
        return DIRTY_POOLS
    if W_RAL <= word < W_MPSAR_LO + 256:
        return DIRTY_FILTER
    if W_SAQF <= word < W_FDIRCTRL:  # filters that select queues, PSRTYPE, RSS
        return DIRTY_STEER | DIRTY_POOLS | DIRTY_RSC
    return 0
