# SPDX-License-Identifier: BSD-3-Clause
"""Interrupts of one port: causes, masks, moderation and MSI-X vectors (datasheet 7.3, 8.2.3.5).

A queue's cause goes through IVAR to a vector; the causes in EICR[31:16] go through IVAR_MISC. In MSI-X mode (GPIE.MSIX)
each of 64 vectors can signal an eventfd; without it every cause shares vector 0. EICR[15:0] shows vectors 0..15, and
EIMS[15:0] is the same mask as EIMS_EX(0)[15:0].
"""

import os

from posix.unistd cimport close

from dataplane.files.eventfd cimport send_signal
from dataplane.pmd.datasheet.word cimport *

from dataplane.errors import DeviceError

cdef enum:
    VECTORS = 64
    EITR_SPLIT = 24
    # Fields.
    MSIX = 1 << 4
    OCD = 1 << 5
    VALID = 1 << 7
    TCP_TIMER = 1 << 30
    INTERVAL = 0xFF8
    INTERVAL_NS = 2048 // 8  # a step of 2.048 us, and the field starts at bit 3

cdef uint32_t EIAME = 1 << 30
cdef uint64_t NEVER = <uint64_t> -1
cdef uint32_t QUEUES = 0x0000FFFF
cdef uint32_t OTHERS = 0xFFFF0000
cdef uint32_t EVENTS = 0x3FFF0000  # cleared by a read even with GPIE.OCD (8.2.3.5.18)


cdef int _check_below(int n, int most, str what) except -1:
    if not 0 <= n < most:
        raise DeviceError(f"no {what} {n}: the 82599 has 0 to {most - 1} (datasheet 7.3)")
    return 0


cdef class Interrupts:
    """Causes in, eventfds out. One for each port. Callers hold the card's lock."""

    def __cinit__(self, RegisterFile registers not None, Clock clock not None):
        for vector in range(VECTORS):
            self.eventfds[vector] = -1
        self._registers = registers
        self.regs = registers.at
        self.clock = clock
        self.vfs = VfInterrupts(registers, clock)
        self.masked, self.next_timer = 0, NEVER

    def __dealloc__(self):
        cdef int vector
        if self.regs == NULL:
            return  # __cinit__ was called with something else: no descriptor is known yet, and 0 is one
        for vector in range(VECTORS):
            if self.eventfds[vector] >= 0:
                close(self.eventfds[vector])

    # ---- from the data path ---------------------------------------------------------------------------------

    cdef void rx_cause(self, int queue) noexcept nogil:
        if not self._is_vf_s(queue, False):
            self._queue_cause(<uint8_t> (self.regs[W_IVAR + (queue >> 1)] >> ((queue & 1) << 4)))

    cdef void tx_cause(self, int queue) noexcept nogil:
        if not self._is_vf_s(queue, True):
            self._queue_cause(<uint8_t> (self.regs[W_IVAR + (queue >> 1)] >> (((queue & 1) << 4) + 8)))

    cdef void other_cause(self, uint32_t eicr_bits) noexcept nogil:
        if self.dead:
            return
        self.regs[W_EICR] |= eicr_bits & OTHERS
        self.fresh |= self._vectors_of(eicr_bits & OTHERS)
        self._offer()

    cdef void step(self) noexcept nogil:
        cdef uint64_t now = self.clock.now()
        if self.timers:
            self.next_timer = self.timers(self.timers_self, now)
        if self.held:
            self.held = 0
            self._offer()
        self.vfs.step()

    cdef bint _is_vf_s(self, int queue, bint tx) noexcept nogil:
        """Raise the cause in the VF that owns the queue. False: the PF owns it."""
        if not self.pool_shift or not self.vf_pools >> (queue >> self.pool_shift) & 1:
            return False
        self.vfs.queue_cause(queue >> self.pool_shift, queue, tx)
        return True

    cdef void _queue_cause(self, uint8_t ivar) noexcept nogil:
        if ivar & VALID and not self.dead:
            self._vector_cause(ivar & 0x3F if self.regs[W_GPIE] & MSIX else ivar & 0xF)

    cdef void _vector_cause(self, int vector) noexcept nogil:
        self.pending |= <uint64_t> 1 << vector
        self.fresh |= self._messages_of(<uint64_t> 1 << vector)
        if vector < 16:
            self.regs[W_EICR] |= 1 << vector
        self._offer()

    # ---- the way out ----------------------------------------------------------------------------------------

    cdef uint64_t _messages_of(self, uint64_t vectors) noexcept nogil:
        """Without MSI-X there is one message, or the INTx line, for everything."""
        if self.regs[W_GPIE] & MSIX:
            return vectors
        return 1 if vectors else 0

    cdef uint64_t _vectors_of(self, uint32_t others) noexcept nogil:
        """The vectors that causes of EICR[31:16] go to.

        SILENT: without a valid entry in IVAR_MISC it is vector 0. DPDK's PF leaves IVAR_MISC as it comes up, with MSI-X on, and
        hears of its VFs' messages.
        """
        cdef uint32_t misc = self.regs[W_IVAR_MISC]
        cdef uint64_t vectors = 0
        if not self.regs[W_GPIE] & MSIX:
            return 1 if others else 0
        if others & ~<uint32_t> TCP_TIMER:
            vectors |= <uint64_t> 1 << (misc >> 8 & 0x3F if misc >> 8 & VALID else 0)
        if others & TCP_TIMER and misc & VALID:
            vectors |= <uint64_t> 1 << (misc & 0x3F)
        return vectors

    cdef void _offer(self) noexcept nogil:
        """Signal every vector with a new cause that is not masked and whose interval is over."""
        cdef uint64_t mask = self.regs[W_EIMS_EX] | <uint64_t> self.regs[W_EIMS_EX + 1] << 32
        cdef uint64_t ready = self._messages_of(self.pending & mask)
        ready |= self._vectors_of(self.regs[W_EICR] & self.regs[W_EIMS] & OTHERS)
        ready &= self.fresh
        if not ready:
            return
        cdef uint64_t now = self.clock.now()
        cdef int vector
        for vector in range(VECTORS):
            if not ready >> vector:
                break
            if ready >> vector & 1:
                if now < self.not_before[vector]:
                    self.held |= <uint64_t> 1 << vector
                else:
                    self._signal(vector)

    cdef void _signal(self, int vector) noexcept nogil:
        cdef uint64_t one = 1
        cdef uint64_t bit = one << vector
        cdef uint32_t eitr = self.regs[W_EITR + vector if vector < EITR_SPLIT else W_EITR_HIGH + vector - EITR_SPLIT]
        cdef uint64_t automask, queue_bits
        cdef uint32_t misc, others
        self.held &= ~bit
        self.fresh &= ~bit
        self.not_before[vector] = self.clock.now() + (eitr & INTERVAL) * INTERVAL_NS if eitr & INTERVAL else 0
        if self.regs[W_GPIE] & MSIX:
            # The message takes its causes along: EIAC clears them, EIAM (with EIAME) masks them (7.3.1.2 to 7.3.1.4).
            misc, others = self.regs[W_IVAR_MISC], 0
            if misc >> 8 & VALID and (misc >> 8 & 0x3F) == <uint32_t> vector:
                others |= OTHERS & ~<uint32_t> TCP_TIMER
            if misc & VALID and (misc & 0x3F) == <uint32_t> vector:
                others |= TCP_TIMER
            others &= self.regs[W_EICR]
            if self.regs[W_GPIE] & EIAME:
                automask = self.regs[W_EIAM_EX] | self.regs[W_EIAM] & QUEUES | <uint64_t> self.regs[W_EIAM_EX + 1] << 32
                queue_bits = bit & automask
                self.write_mask(0, <uint32_t> queue_bits, False)
                self.write_mask(1, <uint32_t> (queue_bits >> 32), False)
                self.regs[W_EIMS] &= ~(self.regs[W_EIAM] & others)
            if vector >= 16 or self.regs[W_EIAC] >> vector & 1:
                self.pending &= ~bit
                if vector < 16:
                    self.regs[W_EICR] &= ~<uint32_t> bit
            self.regs[W_EICR] &= ~(self.regs[W_EIAC] & others)
        if self.masked & bit:
            self.blocked |= bit
            return
        self.fired += 1
        self.fires[vector] += 1
        send_signal(self.eventfds[vector])

    cdef void set_mask(self, int vector, bint on) noexcept nogil:
        """The mask bit in the vector's MSI-X table entry; what fired meanwhile goes out when it is lifted."""
        cdef uint64_t one = 1
        if on:
            self.masked |= one << vector
            return
        self.masked &= ~(one << vector)
        if self.blocked & one << vector:
            self.blocked &= ~(one << vector)
            self.fired += 1
            self.fires[vector] += 1
            send_signal(self.eventfds[vector])

    # ---- registers ------------------------------------------------------------------------------------------

    cdef void reset(self) noexcept nogil:
        cdef int vector
        self.pending = self.fresh = self.held = self.blocked = 0
        for vector in range(VECTORS):
            self.not_before[vector] = 0

    cdef uint32_t read_eicr(self) noexcept nogil:
        cdef uint32_t value = self.regs[W_EICR]
        if self.regs[W_GPIE] & OCD:
            self.regs[W_EICR] &= ~EVENTS
        else:
            self.regs[W_EICR] = 0
            self.pending &= ~<uint64_t> QUEUES
        if not self.regs[W_GPIE] & MSIX:
            # One shared interrupt: the read is its acknowledgement and masks what EIAM says.
            self.write_mask(-1, self.regs[W_EIAM], False)
        return value

    cdef void write_eicr(self, uint32_t value) noexcept nogil:
        self.regs[W_EICR] &= ~value
        self.pending &= ~<uint64_t> (value & QUEUES)

    cdef void write_eics(self, int bank, uint32_t value) noexcept nogil:
        cdef uint64_t vectors = value
        if bank < 0:
            vectors &= QUEUES
            self.regs[W_EICR] |= value
            self.fresh |= self._vectors_of(value & OTHERS)
        elif bank == 0:
            self.regs[W_EICR] |= value & QUEUES
        else:
            vectors <<= 32
        self.pending |= vectors
        self.fresh |= self._messages_of(vectors)
        self._offer()

    cdef void write_mask(self, int bank, uint32_t value, bint on) noexcept nogil:
        cdef int word = W_EIMS if bank < 0 else W_EIMS_EX + bank
        cdef uint64_t vectors
        self.regs[word] = self.regs[word] | value if on else self.regs[word] & ~value
        if bank < 0:
            self.regs[W_EIMS_EX] = self.regs[W_EIMS_EX] & OTHERS | self.regs[W_EIMS] & QUEUES
        elif bank == 0:
            self.regs[W_EIMS] = self.regs[W_EIMS] & OTHERS | self.regs[W_EIMS_EX] & QUEUES
        if on:
            # A cause that waits behind a mask sends a message when the mask is lifted, or set again.
            vectors = value & QUEUES if bank < 0 else value
            if bank > 0:
                vectors <<= 32
            vectors &= self.pending
            self.fresh |= self._messages_of(vectors)
            if bank < 0:
                self.fresh |= self._vectors_of(self.regs[W_EICR] & value & OTHERS)
            self._offer()

    # ---- for buses and tests --------------------------------------------------------------------------------

    def connect(self, int vector, int eventfd):
        """Signal a duplicate of that eventfd when the vector fires; -1 ends it. DeviceError for a vector there is not."""
        if not 0 <= vector < VECTORS:
            raise DeviceError(f"no MSI-X vector {vector}: the 82599 has {VECTORS}, 0 to {VECTORS - 1} (datasheet 7.3.1)")
        own = os.dup(eventfd) if eventfd >= 0 else -1
        if self.eventfds[vector] >= 0:
            os.close(self.eventfds[vector])
        self.eventfds[vector] = own

    def count(self, int vector):
        """How often a vector has fired."""
        _check_below(vector, VECTORS, "MSI-X vector")
        return self.fires[vector]

    def table_mask(self, int vector, bint on):
        """Set or lift the mask bit of a vector's MSI-X table entry."""
        _check_below(vector, VECTORS, "MSI-X vector")
        self.set_mask(vector, on)

    @property
    def pending_bits(self):
        """The MSI-X pending bit array: vectors that fired while masked."""
        return self.blocked

    def raise_queue(self, str kind, int queue):
        """A cause of a queue, as the data path raises it: kind "rx" or "tx"."""
        _check_below(queue, 128, "queue")
        if kind == "rx":
            self.rx_cause(queue)
        else:
            self.tx_cause(queue)

    def raise_other(self, unsigned int bits):
        """Causes of EICR[31:16]."""
        self.other_cause(bits)

    def run(self):
        """What each step of the engine does: end of moderation intervals, delays of the chip."""
        self.step()

    def disconnect(self):
        """Forget every eventfd."""
        for vector in range(VECTORS):
            self.connect(vector, -1)
        self.vfs.disconnect()
