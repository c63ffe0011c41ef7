# SPDX-License-Identifier: BSD-3-Clause
"""The clock of a port for its registers' block: SYSTIM read, set, adjusted (datasheet 8.2.3.26)."""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from dataplane.pmd.model.datapath.engine cimport Engine
from dataplane.pmd.model.datapath.stamps cimport time_of
from dataplane.pmd.model.state.stamps cimport mdl_settle_systim, mdl_stamps, mdl_systim


cdef class Systim:
    """SYSTIM of the port that `engine` moves the packets of. The card's lock is held in every call."""

    cdef Engine _engine

    def __cinit__(self, Engine engine not None):
        self._engine = engine

    def read(self):
        """The low word, now; the high word is latched."""
        cdef mdl_stamps *s = &self._engine.port.stamps
        cdef uint64_t value = mdl_systim(s, time_of(s))
        s.latched = <uint32_t> (value >> 32)
        return <uint32_t> value

    @property
    def latched(self):
        """The high word, as the last read found it."""
        return self._engine.port.stamps.latched

    def set_half(self, bint high, uint32_t word):
        """One word of it; the other goes on."""
        cdef mdl_stamps *s = &self._engine.port.stamps
        cdef int shift = 32 if high else 0
        mdl_settle_systim(s, time_of(s))
        s.value = s.value & ~(<uint64_t> 0xFFFFFFFF << shift) | <uint64_t> word << shift

    def adjust(self, uint64_t by, bint back):
        """Forward or back by that much, at once."""
        cdef mdl_stamps *s = &self._engine.port.stamps
        mdl_settle_systim(s, time_of(s))
        s.value += -by if back else by

    @property
    def ppb(self):
        """How much faster than nominal the clock's crystal is, in 1e-9."""
        return self._engine.port.stamps.ppb

    @ppb.setter
    def ppb(self, int64_t value):
        cdef mdl_stamps *s = &self._engine.port.stamps
        mdl_settle_systim(s, time_of(s))
        s.ppb = value
