# SPDX-License-Identifier: BSD-3-Clause
"""One port's data path: it meets the controller in the register file and in this class.

Everything here is called under the card's lock. Offsets are canonical: the caller has resolved aliases.
"""

from libc.stdint cimport uint32_t, uint64_t

from pmd.model.interrupt cimport Interrupts
from pmd.model.iommu cimport Domain
from pmd.model.model cimport mdl_port
from pmd.model.shared cimport Clock, DataPath, RegisterFile


# written, reset, step, wire_up, lit, link, stopped, strict, violations, take_violations: as pmd.model.shared.DataPath says.
cdef class Engine(DataPath):
    cdef mdl_port *port              # what the hot loops touch (model.h)
    cdef uint32_t *regs              # 0x8000 dwords
    cdef readonly RegisterFile registers
    cdef readonly Interrupts interrupts
    cdef readonly Clock clock
    cdef readonly Domain domain      # what the function's DMA may reach
    cdef readonly str name
    cdef readonly object wire        # the pmd.model.wire.Wire that is plugged in, or None

    # The drop enable that PFQDE holds for an Rx queue (a write to PFQDE comes in by written()).
    cdef bint queue_drop(self, uint32_t queue) noexcept nogil
