# SPDX-License-Identifier: BSD-3-Clause
"""Counts packets that wait in the descriptor rings of the 82599 (datasheet 7.1.6, 7.2.3)."""

from libc.stdint cimport uint32_t

from dataplane.pmd.datasheet.hw82599 cimport hw_rx_desc, hw_tx_desc

# Packets that end in descriptors of `ring` (of `length`) from `at` on, as long as DD is set, in at most `armed` of them.
cdef uint32_t count_received(hw_rx_desc *ring, uint32_t at, uint32_t armed, uint32_t length) noexcept nogil
# Packets that end in descriptors from `at` up to, and without, `end`. 0 if `at` is beyond the ring.
cdef uint32_t count_unsent(hw_tx_desc *ring, uint32_t at, uint32_t end, uint32_t length) noexcept nogil
