# SPDX-License-Identifier: BSD-3-Clause
"""Selects the kernels, and fills in what they write into received packets. The kernels are in kernel.h and the files it names."""

from dataplane.mbuf cimport RX_IP_BAD, RX_IP_GOOD, RX_L4_BAD, RX_L4_GOOD, RX_RSS, RX_VLAN, RX_VLAN_STRIPPED
from dataplane.pmd.datasheet.hw82599 cimport HW_RXD_STAT_IPCS, HW_RXD_STAT_L4CS, HW_RXD_STAT_VP

from dataplane.errors import ConfigError

cdef extern from "queues/kernels.h" nogil:
    enum:
        KERNELS "IXGBE_KERNELS"
    const kernels_t[4] kernels "ixgbe_kernels"
    const kernels_t singly "ixgbe_one_by_one"
    bint runs_here "ixgbe_runs_here" (unsigned int width)
    bint pays_here "ixgbe_pays_here" (unsigned int width)


def widths():
    """The names of the kernels that this CPU can run, the narrowest first."""
    return [kernels[i].name.decode() for i in range(KERNELS) if runs_here(i)]


cdef const kernels_t *kernels_of(name) except NULL:
    cdef unsigned int i
    for i in reversed(range(KERNELS)):
        if pays_here(i) if name == "auto" else runs_here(i) and kernels[i].name.decode() == name:
            return &kernels[i]
    raise ConfigError(f"simd={name}: expected auto, or what this CPU has: {', '.join(widths())}")


cdef const kernels_t *one_by_one() noexcept:
    return &singly


cdef void set_meta(rx_meta_t *meta, bint strip) noexcept:
    cdef uint64_t tagged = RX_VLAN | RX_VLAN_STRIPPED, ip = RX_IP_GOOD | RX_IP_BAD, l4 = RX_L4_GOOD | RX_L4_BAD
    cdef uint64_t flags
    cdef uint32_t i, status
    for i in range(16):
        status = i << 3
        flags = RX_RSS
        flags |= tagged if strip and status & HW_RXD_STAT_VP else 0
        flags |= ip if status & HW_RXD_STAT_IPCS else 0
        flags |= l4 if status & HW_RXD_STAT_L4CS else 0
        meta.seen[i] = <uint8_t> flags
        flags = tagged | RX_RSS | (RX_IP_BAD if i & 2 else RX_IP_GOOD)
        # CONFLICT: the chip reports an error for IPv4 UDP without a checksum (0) too, so a bad UDP checksum says nothing: it
        # counts as not checked.
        flags |= RX_L4_GOOD if not i & 1 else 0 if i & 4 else RX_L4_BAD
        meta.allowed[i] = <uint8_t> flags
        meta.hashed[i] = <uint8_t> (tagged | ip | l4 | (RX_RSS if i else 0))
