# SPDX-License-Identifier: BSD-3-Clause
"""Counts packets that wait in the descriptor rings of the 82599 (datasheet 7.1.6, 7.2.3).

Called when a queue is detached or a run ends: no code here runs for each packet.
"""

from libc.stdint cimport uint64_t

from dataplane.machine cimport read32, read64
from dataplane.pmd.datasheet.hw82599 cimport HW_RXD_STAT_DD, HW_RXD_STAT_EOP, HW_TXD_CMD_EOP


cdef uint32_t count_received(hw_rx_desc *ring, uint32_t at, uint32_t armed, uint32_t length) noexcept nogil:
    cdef uint32_t found = 0
    cdef uint64_t status
    while armed:
        status = read64(&ring[at].qword[1])
        if not status & HW_RXD_STAT_DD:
            break
        found += (status & HW_RXD_STAT_EOP) != 0
        at = at + 1 if at + 1 < length else 0
        armed -= 1
    return found


cdef uint32_t count_unsent(hw_tx_desc *ring, uint32_t at, uint32_t end, uint32_t length) noexcept nogil:
    cdef uint32_t found = 0
    if at >= length or end >= length:
        return 0
    while at != end:
        # A context descriptor (7.2.3.2.3) has no EOP: its bit 24 is reserved and 0.
        found += (read32(&ring[at].data.lower) & HW_TXD_CMD_EOP) != 0
        at = at + 1 if at + 1 < length else 0
    return found
