# SPDX-License-Identifier: BSD-3-Clause
"""The kernels of the hot loops for Cython: ``kernel.h`` describes each of them."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from dataplane.mbuf cimport mbuf, mempool_t
from dataplane.pmd.datasheet.hw82599 cimport hw_rx_desc, hw_tx_desc

cdef extern from "queues/scalar.h" nogil:
    enum:
        AHEAD "IXGBE_AHEAD"
    const uint64_t OFFLOADS "IXGBE_TX_OFFLOADS"
    const uint64_t CHECKSUMS "IXGBE_TX_CHECKSUMS"
    const uint64_t KIND "IXGBE_TX_KIND"

    ctypedef struct rx_meta_t "struct ixgbe_rx_meta":
        uint8_t[16] seen
        uint8_t[16] allowed
        uint8_t[16] hashed
        uint64_t rearm

    ctypedef struct alike_t "struct ixgbe_tx_alike":
        uint64_t flags
        uint64_t command
        uint32_t headers
        uint32_t headers_mask
        uint16_t tag
        uint16_t tag_mask
        uint16_t shortest
        uint16_t longest

    ctypedef uint32_t (*take_t)(
        const hw_rx_desc *ring, mbuf **sw, mbuf **pkts, uint32_t n, const rx_meta_t *meta
    ) noexcept nogil
    ctypedef void (*arm_t)(hw_rx_desc *ring, mbuf **sw, uint32_t n) noexcept nogil
    ctypedef uint32_t (*put_t)(
        hw_tx_desc *ring, mbuf **sw, mbuf **pkts, uint32_t n, const alike_t *alike, const mempool_t *pool, uint64_t *mixed
    ) noexcept nogil

    ctypedef struct kernels_t "struct ixgbe_kernels":
        const char *name
        take_t take
        arm_t arm
        put_t put

    uint32_t put_chain "ixgbe_put_chain" (
        hw_tx_desc *ring, mbuf **sw, mbuf *m, uint32_t most, const alike_t *alike, const mempool_t *pool, uint64_t *mixed
    ) noexcept


# The kernels of that name; for "auto" the fastest on this CPU. Raises ConfigError.
cdef const kernels_t *kernels_of(name) except NULL
# For a queue whose packets the NIC merges: no kernel takes packets, the queue takes one at a time.
cdef const kernels_t *one_by_one() noexcept
# Fills the tables from a descriptor's bits to ol_flags. strip: the NIC strips tags.
cdef void set_meta(rx_meta_t *meta, bint strip) noexcept
