# SPDX-License-Identifier: BSD-3-Clause
"""The I/O address space of one PCI function: what its DMA may touch."""

from libc.stdint cimport uint32_t, uint64_t

from pmd.model.model cimport mdl_domain


cdef class Domain:
    """IOVA ranges -> host memory, with permissions. Change it only under the card's lock."""

    cdef mdl_domain *c
    cdef readonly str name
    cdef dict _owners  # iova -> whoever must outlive the mapping
