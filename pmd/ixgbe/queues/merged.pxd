# SPDX-License-Identifier: BSD-3-Clause
"""Packets that the NIC has merged (datasheet 7.11): their buffers are not those of adjacent descriptors."""

from libc.stdint cimport uint32_t, uint64_t

from dataplane.mbuf cimport mbuf
from dataplane.pmd.datasheet.hw82599 cimport hw_rx_desc
from dataplane.pmd.ixgbe.queues.kernels cimport rx_meta_t

# A packet whose next buffer has not arrived yet; `first` NULL: none.
cdef struct unfinished_t:
    mbuf *first
    mbuf *last
    uint32_t merged     # how many packets it is made of; 0: the NIC has not merged it

# Of one queue.
cdef struct merge_t:
    unfinished_t *chains  # for each descriptor: the packet that goes on there; NULL: nothing is merged
    uint64_t merged     # packets that arrived within larger ones
    uint64_t into       # those larger ones
    uint64_t broken     # packets freed because the NIC named no descriptor to go on in

# Room for a ring of that length. Raises MemoryError.
cdef int begin_merging(merge_t *merge, uint32_t length) except -1
# Frees what is not whole, and the room. The counters stay.
cdef void end_merging(merge_t *merge, uint32_t length) noexcept
# The buffer of descriptor `at`, which has DD: the packet that it ends, or NULL.
cdef mbuf *take_merged(
    merge_t *merge, const hw_rx_desc *ring, mbuf **sw, uint32_t at, uint32_t length, const rx_meta_t *meta
) noexcept nogil
