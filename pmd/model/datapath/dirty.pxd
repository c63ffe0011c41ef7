# SPDX-License-Identifier: BSD-3-Clause
"""Which of a port's tables must be decoded again after a register was written."""

from libc.stdint cimport uint32_t

from dataplane.pmd.model.state.port cimport DIRTY_FILTER, DIRTY_POOLS, DIRTY_RSC, DIRTY_STEER
from dataplane.pmd.model.state.word cimport *


cdef inline uint32_t touched(uint32_t offset) noexcept nogil:
    """What has to be decoded again after a write: MTA, UTA and VFTA are read where they are."""
    if offset == W_RXCTRL << 2 or 0x04200 <= offset < 0x04300:
        return DIRTY_FILTER | DIRTY_RSC  # HLREG0, MAXFRS, MFLCN
    if 0x05000 <= offset < 0x06000:
        return 0 if 0x05200 <= offset < 0x05400 else DIRTY_FILTER | DIRTY_STEER | DIRTY_POOLS | DIRTY_RSC
    if 0x08000 <= offset < 0x09000 or 0x0F000 <= offset < 0x0F400 or 0x0F600 <= offset < 0x0F700:
        return DIRTY_POOLS
    if 0x0A200 <= offset < 0x0AA00:
        return DIRTY_FILTER  # RAL, RAH, MPSAR
    if 0x0E000 <= offset < 0x0F000:
        return DIRTY_STEER | DIRTY_POOLS | DIRTY_RSC  # filters for queues, RSS; PSRTYPE
    return 0
