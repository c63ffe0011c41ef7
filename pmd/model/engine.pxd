# SPDX-License-Identifier: BSD-3-Clause
"""One port's data path. The controller and the engine meet in the register file and in this class.

All of it is called under the card's lock. Offsets are canonical: aliases are resolved by the caller.
"""

from libc.stdint cimport uint32_t, uint64_t

from pmd.model.interrupt cimport Interrupts
from pmd.model.iommu cimport Domain
from pmd.model.model cimport mdl_port


cdef class Engine:
    cdef mdl_port *port              # what the hot loops touch (model.h)
    cdef uint32_t *regs              # 0x8000 dwords; the caller of bind() keeps them alive
    cdef readonly Domain domain
    cdef readonly Interrupts interrupts
    cdef readonly str name
    cdef readonly object wire        # the pmd.model.wire.Wire that is plugged in, or None

    # Written by the controller at any time, read by each step.
    cdef public bint bus_master      # PCI command bit 2; without it the engine reaches no memory
    cdef public bint removed         # surprise removal: the engine stands still
    cdef public bint lit             # this end of the wire is up (laser on, no link flap): what the peer sees
    cdef public bint link            # what the controller concluded from wire_up() and its own state; no link, no Tx
    cdef public bint manual_clock    # time is now_ns, moved on by the caller, instead of the machine's clock
    cdef public uint64_t now_ns

    # The register file has a new value at `offset` (stored by the caller already): decode what depends on it.
    cdef void written(self, uint32_t offset, uint32_t value) noexcept nogil

    # The register file holds reset values: forget queues, filters, packet buffer.
    cdef void reset(self) noexcept nogil

    # Move up to `budget` packets in each direction. Returns how many it moved; 0 means idle.
    cdef uint32_t step(self, uint32_t budget) noexcept nogil

    # Whether a wire is plugged in whose other end is up too.
    cdef bint wire_up(self) noexcept nogil

    # The drop enable of an Rx queue that PFQDE holds (a write to PFQDE comes in by written()).
    cdef bint queue_drop(self, uint32_t queue) noexcept nogil

    # Nothing is under way: no fetched descriptor without write-back (for STATUS bit 19, PCIe master enable).
    cdef bint quiet(self) noexcept nogil
