# SPDX-License-Identifier: BSD-3-Clause
"""Interrupts of a port's VFs (datasheet 7.3, 7.10.2.8, 9.4): causes, masks, moderation, three MSI-X vectors for each VF.

A VF's causes are numbered as its vectors. VTIVAR sends its queues to them, VTIVAR_MISC its mailbox. The registers are those
of the PF's side (PVTEICR, ...), one for each VF; VTEITR only the VF has.
"""

import os

from libc.stdint cimport int64_t
from posix.unistd cimport close

from dataplane.files.eventfd cimport send_signal
from dataplane.pmd.datasheet.word cimport *

from dataplane.errors import DeviceError

cdef enum:
    VFS = 64
    VECTORS = 3
    ALL = 7
    # Fields.
    VALID = 1 << 7
    THROTTLED = 2  # vectors with a VTEITR
    INTERVAL = 0xFF8
    INTERVAL_NS = 2048 // 8  # a step of 2.048 us, and the field starts at bit 3

cdef uint32_t EIAME = 1 << 30


cdef int _check_below(int64_t n, int most, str what) except -1:
    if not 0 <= n < most:
        raise DeviceError(f"no {what} {n}: a VF of the 82599 has 0 to {most - 1} (datasheet 9.4)")
    return 0


cdef int _check_vf(uint32_t vf) except -1:
    if vf >= VFS:
        raise DeviceError(f"no VF {vf}: the 82599 has 0 to {VFS - 1} (datasheet 7.10)")
    return 0


cdef class VfInterrupts:
    """Causes in, eventfds out, for the 64 VFs of a port. Callers hold the card's lock."""

    def __cinit__(self, RegisterFile registers not None, Clock clock not None):
        for n in range(VFS * VECTORS):
            self.eventfds[n] = -1
        self._registers, self.clock = registers, clock
        self.regs = registers.at

    def __dealloc__(self):
        cdef int n
        if self.regs == NULL:
            return  # __cinit__ was called with something else: no descriptor is known yet, and 0 is one
        for n in range(VFS * VECTORS):
            if self.eventfds[n] >= 0:
                close(self.eventfds[n])

    # ---- causes ---------------------------------------------------------------------------------------------

    cdef void queue_cause(self, uint32_t vf, int queue, bint tx) noexcept nogil:
        cdef uint8_t entry = <uint8_t> (self.regs[W_PVTIVAR + (queue >> 1)] >> (((queue & 1) << 4) + (8 if tx else 0)))
        if entry & VALID:
            self.cause(vf, (1 << (entry & 3)) & ALL)

    cdef void cause(self, uint32_t vf, uint32_t vectors) noexcept nogil:
        self.regs[W_PVTEICR + vf] |= vectors
        self.fresh[vf] |= vectors
        self._offer(vf)

    cdef void step(self) noexcept nogil:
        cdef uint64_t waiting = self.waiting
        cdef uint32_t vf
        if waiting:
            self.waiting = 0
            for vf in range(VFS):
                if waiting >> vf & 1:
                    self._offer(vf)

    # ---- the way out ----------------------------------------------------------------------------------------

    cdef void _offer(self, uint32_t vf) noexcept nogil:
        """Signal every vector with a new cause that is not masked and whose interval is over."""
        cdef uint32_t ready = self.regs[W_PVTEICR + vf] & self.regs[W_PVTEIMS + vf] & self.fresh[vf], vector
        if not ready or not self.alive >> vf & 1:
            return
        for vector in range(VECTORS):
            if ready >> vector & 1:
                if self.clock.now() < self.not_before[vf * VECTORS + vector]:
                    self.waiting |= <uint64_t> 1 << vf
                else:
                    self._signal(vf, vector)

    cdef void _signal(self, uint32_t vf, uint32_t vector) noexcept nogil:
        cdef uint32_t bit = 1 << vector
        cdef uint64_t interval = self.eitr[vf * 2 + vector] & INTERVAL if vector < THROTTLED else 0
        self.fresh[vf] &= ~bit
        self.not_before[vf * VECTORS + vector] = self.clock.now() + interval * INTERVAL_NS if interval else 0
        # The message takes its cause along, as the PF's do (7.3.1.2 to 7.3.1.4). SILENT: EIAME is the port's.
        if self.regs[W_GPIE] & EIAME:
            self.regs[W_PVTEIMS + vf] &= ~(self.regs[W_PVTEIAM + vf] & bit)
        self.regs[W_PVTEICR + vf] &= ~(self.regs[W_PVTEIAC + vf] & bit)
        if self.masked[vf] & bit:
            self.blocked[vf] |= bit
        else:
            self._send(vf, vector)

    cdef void _send(self, uint32_t vf, uint32_t vector) noexcept nogil:
        self.fires[vf * VECTORS + vector] += 1
        send_signal(self.eventfds[vf * VECTORS + vector])

    # ---- for the chip's blocks ------------------------------------------------------------------------------

    def mailbox(self, uint32_t vf):
        """A cause of the VF's mailbox: VTIVAR_MISC says which vector."""
        _check_vf(vf)
        cdef uint32_t misc = self.regs[W_PVTIVAR_MISC + vf]
        if misc & VALID:
            self.cause(vf, (1 << (misc & 3)) & ALL)

    def raise_vectors(self, uint32_t vf, uint32_t vectors):
        """VTEICS: software sets causes."""
        _check_vf(vf)
        self.cause(vf, vectors & ALL)

    def acknowledge(self, uint32_t vf, uint32_t vectors):
        """VTEICR: these causes have been seen."""
        _check_vf(vf)
        self.regs[W_PVTEICR + vf] &= ~vectors

    def unmask(self, uint32_t vf, uint32_t vectors):
        """VTEIMS: what waits behind a mask that is lifted, or set again, is worth a message."""
        _check_vf(vf)
        self.regs[W_PVTEIMS + vf] |= vectors & ALL
        self.fresh[vf] |= self.regs[W_PVTEICR + vf] & vectors & ALL
        self._offer(vf)

    def mask(self, uint32_t vf, uint32_t vectors):
        """VTEIMC."""
        _check_vf(vf)
        self.regs[W_PVTEIMS + vf] &= ~vectors

    def interval(self, uint32_t vf, uint32_t n):
        """VTEITR(n), n 0 or 1."""
        _check_vf(vf)
        _check_below(n, THROTTLED, "VTEITR")
        return self.eitr[vf * 2 + n]

    def set_interval(self, uint32_t vf, uint32_t n, uint32_t value):
        """VTEITR(n): [11:3] in steps of 2.048 us."""
        _check_vf(vf)
        _check_below(n, THROTTLED, "VTEITR")
        self.eitr[vf * 2 + n] = value & INTERVAL

    def forget(self, uint32_t vf):
        """The VF was reset: nothing is under way. Its registers are the caller's."""
        _check_vf(vf)
        self.fresh[vf] = self.blocked[vf] = 0
        self.waiting &= ~(<uint64_t> 1 << vf)
        self.eitr[vf * 2] = self.eitr[vf * 2 + 1] = 0
        for vector in range(VECTORS):
            self.not_before[vf * VECTORS + vector] = 0

    def set_alive(self, uint64_t vfs):
        """The VFs that may send messages: they are there, and bus masters with MSI-X on."""
        cdef uint32_t vf
        cdef uint64_t more = vfs & ~self.alive
        self.alive = vfs
        for vf in range(VFS):
            if more >> vf & 1:
                self._offer(vf)

    # ---- for buses and tests --------------------------------------------------------------------------------

    def connect(self, uint32_t vf, int vector, int eventfd):
        """Signal a duplicate of that eventfd when the VF's vector fires; -1 ends it. DeviceError for one there is not."""
        _check_vf(vf)
        if not 0 <= vector < VECTORS:
            raise DeviceError(f"no MSI-X vector {vector}: a VF of the 82599 has {VECTORS}, 0 to {VECTORS - 1} (datasheet 9.4)")
        own = os.dup(eventfd) if eventfd >= 0 else -1
        if self.eventfds[vf * VECTORS + vector] >= 0:
            os.close(self.eventfds[vf * VECTORS + vector])
        self.eventfds[vf * VECTORS + vector] = own

    def count(self, uint32_t vf, int vector):
        """How often a vector has fired."""
        _check_vf(vf)
        _check_below(vector, VECTORS, "MSI-X vector")
        return self.fires[vf * VECTORS + vector]

    def table_mask(self, uint32_t vf, uint32_t vector, bint on):
        """The mask bit of a vector's MSI-X table entry; what fired meanwhile goes out when it is lifted."""
        _check_vf(vf)
        _check_below(vector, VECTORS, "MSI-X vector")
        cdef uint32_t bit = 1 << vector
        if on:
            self.masked[vf] |= bit
            return
        self.masked[vf] &= ~bit
        if self.blocked[vf] & bit:
            self.blocked[vf] &= ~bit
            self._send(vf, vector)

    def pending_bits(self, uint32_t vf):
        """The MSI-X pending bit array: vectors that fired while masked."""
        _check_vf(vf)
        return self.blocked[vf]

    def clear_pending(self, uint32_t vf, uint32_t vectors):
        """VFPBACL."""
        _check_vf(vf)
        self.blocked[vf] &= ~vectors

    def disconnect(self):
        """Forget every eventfd."""
        for n in range(VFS * VECTORS):
            self.connect(n // VECTORS, n % VECTORS, -1)
