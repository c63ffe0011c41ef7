# SPDX-License-Identifier: BSD-3-Clause
"""The register file of one port. The rule of its register and the RegisterBlock method registered for it decide each access.

A write: the strict manner may refuse it; the rule computes the new word from the old and the written one; a RegisterBlock
may replace it; the word is stored; the data path is notified. A read: a RegisterBlock may replace the stored word; then
read-to-clear and set-on-read bits change. Delayed effects of the chip (a queue's ENABLE reads back, CTRL.RST clears itself)
are timers.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from dataplane.pmd.datasheet.word cimport *
from dataplane.pmd.model.registers.rules cimport NATIVE, READS, TAIL, WRITES
from dataplane.pmd.model.shared cimport REGISTER_BYTES

from dataplane.errors import ConfigError

cdef enum:
    LINK_UP = 1 << 30
    MASTER_DISABLE = 1 << 2  # CTRL.GIO_DIS

cdef uint32_t ALL_ONES = 0xFFFFFFFF
cdef uint64_t NEVER = <uint64_t> -1


cdef uint64_t _run_timers(void *self, uint64_t now) noexcept nogil:
    (<Controller> self).run_timers(now)
    (<Controller> self)._look_at_wire()
    return (<Controller> self).next_timer


cdef int _check_offset(int64_t offset) except -1:
    if not 0 <= offset < REGISTER_BYTES or offset & 3:
        raise IndexError(f"no register at {offset:#x}: registers are dwords below {REGISTER_BYTES:#x}")
    return 0


cdef class Controller:
    """The registers of one port. The bus calls `read` and `write`; the other methods are for the chip's blocks.

    Outside an access, a caller must hold `lock` for everything except read, write, and the properties.
    """

    def __cinit__(
        self,
        str name not None,
        int port,
        RegisterFile registers not None,
        Interrupts interrupts not None,
        CardLock lock not None,
        DataPath engine not None,
        RuleTable rules not None,
    ):
        self.name, self.port = name, port
        self.registers, self.interrupts, self.clock, self.lock = registers, interrupts, interrupts.clock, lock
        self.engine = engine
        engine.lock = lock
        engine.adopt()
        self.regs = registers.at
        self._table, self.rules = rules, rules.at
        self.next_timer = NEVER
        self.read_ns, self.write_ns = 500, 100
        self._on_read, self._on_write = {}, {}
        interrupts.timers_self = <void *> self
        interrupts.timers_owner = self
        interrupts.timers = _run_timers

    # ---- the bus ----------------------------------------------------------------------------------------------

    cpdef uint32_t read(self, uint32_t offset) except? 0xFFFFFFFF:
        """A 32-bit read at a byte offset of BAR0. The strict manner raises DatasheetViolation."""
        self.lock.take_gil()
        try:
            return self._read(offset)
        finally:
            self.lock.give()

    cpdef int write(self, uint32_t offset, uint32_t value) except -1:
        """A 32-bit write at a byte offset of BAR0. The strict manner raises DatasheetViolation."""
        self.lock.take_gil()
        try:
            return self._write(offset, value)
        finally:
            self.lock.give()

    def read_twin(self, uint32_t offset):
        """A read by a VF of this register (canonical offset). The lock is held."""
        _check_offset(offset)
        self._elapse(self.read_ns)
        return self._answer(offset >> 2)

    def write_twin(self, uint32_t offset, uint32_t value):
        """A write by a VF of this register (canonical offset). The lock is held."""
        _check_offset(offset)
        self._elapse(self.write_ns)
        self._take(offset >> 2, value)

    def read_bytes(self, unsigned int offset, unsigned int size):
        """A read of any size. Registers are dwords: a smaller read is answered, side effects included, from the whole one.

        The strict manner raises DatasheetViolation for anything but whole dwords (datasheet 8.1.1).
        """
        if offset & 3 or size & 3:
            self._wrong_size("read", offset, size)
        out = bytearray()
        for at in range(offset & ~3, offset + size, 4):
            out += int(self.read(at)).to_bytes(4, "little")
        return bytes(out[offset & 3 : (offset & 3) + size])

    def write_bytes(self, unsigned int offset, bytes data):
        """A write of any size. Registers are dwords: a write that does not cover one whole is discarded.

        The strict manner raises DatasheetViolation for it (datasheet 8.1.1).
        """
        if offset & 3 or len(data) & 3:
            self._wrong_size("write", offset, len(data))
        for at in range(-(offset & 3) % 4, len(data) - 3, 4):
            self.write(offset + at, int.from_bytes(data[at : at + 4], "little"))

    cdef uint32_t _read(self, uint32_t offset) except? 0xFFFFFFFF:
        cdef uint32_t value
        cdef access_masks_t *rule
        self._elapse(self.read_ns)
        if self.gone or self.asleep:
            value = ALL_ONES
        elif offset & 3 or offset >= REGISTER_BYTES or not self.rules[offset >> 2].flags:
            value = 0  # 8.2.2 forbids no read: `ethtool -d` reads its way through the addresses of all of Intel's chips
        else:
            rule = &self.rules[offset >> 2]
            if self.strict is not None:
                self._raise_offences()
                self.strict.reading(rule.canonical << 2)
            value = self._answer(rule.canonical)
        if self.trace is not None:
            self.trace("R", offset, value)
        return value

    cdef void _elapse(self, uint64_t ns) noexcept nogil:
        """Advance a virtual clock by the time of an access, and run the timers that are due."""
        self.clock.advance(ns)
        if self.clock.now() >= self.next_timer:
            self.run_timers(self.clock.now())

    cdef uint32_t _answer(self, uint32_t word) except? 0xFFFFFFFF:
        """Perform a read, with its side effects."""
        cdef access_masks_t *rule = &self.rules[word]
        cdef uint32_t value = self._at(rule.canonical)[0] & rule.readable
        if rule.flags & (READS | NATIVE):
            if rule.flags & NATIVE:
                if rule.canonical == W_EICR:
                    value = self.interrupts.read_eicr()
                elif rule.canonical == W_EICS:
                    # SILENT: EICS is write only; Linux reads the causes there, without clearing them, and it works.
                    value = self.regs[W_EICR]
            else:
                handler = self._on_read.get(rule.canonical << 2)
                if handler is not None:
                    value = handler(rule.canonical << 2, value)
        if self.stuck_count:
            value = self._hold(rule.canonical, value)
        if rule.read_clears | rule.read_sets:
            self.regs[rule.canonical] = self.regs[rule.canonical] & ~rule.read_clears | rule.read_sets
            if rule.read_sets:
                self._tell(rule.canonical)
        return value

    cdef int _write(self, uint32_t offset, uint32_t value) except -1:
        cdef uint32_t word
        self._elapse(self.write_ns)
        if self.trace is not None:
            self.trace("W", offset, value)
        if self.gone or self.asleep:
            return 0
        if offset & 3 or offset >= REGISTER_BYTES or not self.rules[offset >> 2].flags:
            if self.strict is not None:
                self.strict.unknown("write", offset, value)
            return 0
        word = self.rules[offset >> 2].canonical
        if self.strict is not None:
            self._raise_offences()
            self.strict.writing(word << 2, value)
        return self._take(word, value)

    cdef int _take(self, uint32_t word, uint32_t value) except -1:
        """Perform a write."""
        cdef access_masks_t *rule = &self.rules[word]
        cdef uint32_t old, new
        if rule.flags & NATIVE and self._native_write(word, value):
            return 0
        old = self._at(word)[0]
        new = old & ~rule.write | value & rule.write
        new = (new | value & rule.set) & ~(value & rule.clear)
        if rule.flags & WRITES:
            handler = self._on_write.get(word << 2)
            if handler is not None:
                new = handler(word << 2, old, new, value)
        self._store(word, new)
        return 0

    cdef bint _native_write(self, uint32_t word, uint32_t value) noexcept nogil:
        if word == W_EICR:
            self.interrupts.write_eicr(value)
        elif word == W_EICS:
            self.interrupts.write_eics(-1, value)
        elif word == W_EIMS or word == W_EIMC:
            self.interrupts.write_mask(-1, value, word == W_EIMS)
        elif W_EICS_EX <= word <= W_EICS_EX + 1:
            self.interrupts.write_eics(word - W_EICS_EX, value)
        elif W_EIMS_EX <= word <= W_EIMS_EX + 1:
            self.interrupts.write_mask(word - W_EIMS_EX, value, True)
        elif W_EIMC_EX <= word <= W_EIMC_EX + 1:
            self.interrupts.write_mask(word - W_EIMC_EX, value, False)
        else:
            return False
        return True

    cdef volatile uint32_t *_at(self, uint32_t word) noexcept nogil:
        """The address of a register: in the register file, or a tail in pages that a driver maps."""
        cdef volatile uint32_t *tail = self.engine.tail_at(word) if self.rules[word].flags & TAIL else NULL
        return tail if tail != NULL else &self.regs[word]

    cdef void _store(self, uint32_t word, uint32_t value) noexcept nogil:
        self._at(word)[0] = self._hold(word, value) if self.stuck_count else value
        self._tell(word)

    cdef void _tell(self, uint32_t word) noexcept nogil:
        if word == W_LINKS:
            self.engine.link = self.regs[word] & LINK_UP != 0
        self.engine.written(word << 2, self.regs[word])

    cdef uint32_t _hold(self, uint32_t word, uint32_t value) noexcept nogil:
        cdef int n
        for n in range(self.stuck_count):
            if self.stuck[n].word == word:
                value = value & ~self.stuck[n].mask | self.stuck[n].value
        return value

    cdef void _raise_offences(self) except *:
        """Report what the data path found since the last access."""
        if self.engine.violations:
            self.strict.offences()

    def _wrong_size(self, str kind, unsigned int offset, unsigned int size):
        if self.strict is not None:
            self.strict.wrong_size(kind, offset, size)

    # ---- time -------------------------------------------------------------------------------------------------

    cdef void run_timers(self, uint64_t now) noexcept nogil:
        cdef int n, i
        cdef Timer timer
        cdef uint64_t due
        if now < self.next_timer:
            return
        while True:
            # The earliest first, so that changes of one register keep their order.
            due, n = NEVER, -1
            for i in range(self.timer_count):
                if self.timers[i].when < due:
                    due, n = self.timers[i].when, i
            self.next_timer = due
            if n < 0 or due > now:
                return
            timer = self.timers[n]
            for i in range(n, self.timer_count - 1):  # keeps the order of timers for the same time
                self.timers[i] = self.timers[i + 1]
            self.timer_count -= 1
            self._store(timer.word, self._at(timer.word)[0] & ~timer.clear | timer.set)
            if timer.cause:
                self.interrupts.other_cause(timer.cause)

    cdef void _look_at_wire(self) noexcept nogil:
        cdef bint carrier = self.engine.wire_up()
        if carrier != self._carrier and not self.gone:
            self._carrier = carrier
            with gil:  # rare; threads that wait for the lock do not hold the GIL
                if self.on_carrier is not None:
                    self.on_carrier(carrier)

    def after(self, uint64_t ns, uint32_t offset, uint32_t clear=0, uint32_t set=0, uint32_t cause=0):
        """In `ns` nanoseconds the register at `offset` loses the bits `clear` and gets the bits `set`; `cause` goes to EICR.

        Raises ConfigError for more than TIMERS at once, which no driver can cause within the delays of the chip.
        """
        _check_offset(offset)
        if self.timer_count == TIMERS:
            raise ConfigError(f"{self.name}: {TIMERS} delayed effects are under way: make the delays of the model shorter")
        self.timers[self.timer_count] = Timer(self.clock.now() + ns, offset >> 2, clear, set, cause)
        self.timer_count += 1
        self.next_timer = min(self.next_timer, self.clock.now() + ns)

    def forget(self, offset=None, uint32_t touching=0xFFFFFFFF):
        """Cancel the delayed effects on these bits of a register; offset None: on all registers."""
        cdef int kept = 0
        cdef Timer timer
        for i in range(self.timer_count):
            timer = self.timers[i]
            if offset is not None and (timer.word != <uint32_t> offset >> 2 or not (timer.clear | timer.set) & touching):
                self.timers[kept] = timer
                kept += 1
        self.timer_count = kept
        self.next_timer = 0 if kept else NEVER

    def is_pending(self, uint32_t offset):
        """Whether a delayed effect on that register is pending."""
        _check_offset(offset)
        for i in range(self.timer_count):
            if self.timers[i].word == offset >> 2:
                return True
        return False

    # ---- for the chip's blocks: no rules; side effects only in the data path ---------------------------------------

    def attach(self, line, reads=None, writes=None):
        """Send reads and writes of the registers of a datasheet line to these methods (None: the rule alone).

        reads(offset, value) returns what is read; writes(offset, old, new, written) returns what is stored.
        """
        for offset, index in line.addresses():
            _check_offset(offset)
            if reads is not None:
                self.rules[<uint32_t> offset >> 2].flags |= READS
                self._on_read[line[index].offset] = reads
            if writes is not None:
                self.rules[<uint32_t> offset >> 2].flags |= WRITES
                self._on_write[line[index].offset] = writes

    @property
    def stopped(self):
        """Whether the data path is stopped: no bus mastering, CTRL.GIO_DIS, asleep, or gone."""
        return self.engine.stopped

    def has_side_effects(self, uint32_t offset):
        """Whether a RegisterBlock decides about reads or writes of that register."""
        return offset in self._on_read or offset in self._on_write

    def peek(self, uint32_t offset):
        """The word as it is stored."""
        _check_offset(offset)
        return self._at(offset >> 2)[0]

    def address(self, uint32_t offset):
        """The address of the word in this process."""
        _check_offset(offset)
        return <size_t> self._at(offset >> 2)

    def poke(self, uint32_t offset, uint32_t value):
        """Store a word (stuck bits do not change), and notify the data path."""
        _check_offset(offset)
        self._store(offset >> 2, value)

    def load(self, words):
        """Store many (offset, value) without notifying the data path: a reset notifies it once."""
        cdef uint32_t word
        for offset, value in words:
            _check_offset(offset)
            word = <uint32_t> offset >> 2
            self._at(word)[0] = self._hold(word, value) if self.stuck_count else value

    def tell(self, uint32_t offset, uint32_t value):
        """Notify the data path of a write as it was written, with its strobes."""
        _check_offset(offset)
        self.engine.written(offset, value)

    def engine_runs(self, control=0):
        """Update whether the data path may do DMA, from the command register and CTRL (the given word)."""
        master = (self.config is None or self.config.bus_master) and not control & MASTER_DISABLE
        self.engine.stopped = self.gone or self.asleep or not master

    def record_violations(self, bint on):
        """Set whether the data path records violations."""
        self.engine.strict = on

    def shine(self, bint on):
        """Set whether the other end of the wire sees light."""
        self.engine.lit = on

    def set_pace(self, uint8_t speed):
        """Set the LINKS.SPEED of this end of the wire; 0: none is configured."""
        self.engine.pace = speed

    def restart_engine(self):
        """After a reset: restart the data path and the interrupts from the registers as they are now."""
        self.interrupts.reset()
        self.engine.reset()

    def cause(self, uint32_t bits):
        """Raise causes of EICR[31:16]."""
        self.interrupts.other_cause(bits)

    def hold(self, uint32_t offset, uint32_t mask, uint32_t value):
        """A fault: these bits read, and are stored, as `value` from now on. ConfigError after 16 of them."""
        _check_offset(offset)
        if self.stuck_count == STUCK:
            raise ConfigError(f"{self.name}: {STUCK} stuck fields are the most at a time: release one first")
        self.stuck[self.stuck_count] = Stuck(offset >> 2, mask, value & mask)
        self.stuck_count += 1
        self._store(offset >> 2, self.regs[offset >> 2])

    def release(self):
        """Release all stuck bits. The registers keep their values."""
        self.stuck_count = 0

    def set_power(self, bint gone, bint asleep):
        """Set whether the registers answer: gone (pulled out for good), asleep (not decoded now)."""
        if gone:
            self.timer_count, self.next_timer = 0, NEVER
            self.engine.lit = False
            memset(<void *> self.regs, 0xFF, REGISTER_BYTES)  # mapped pages read all ones, too
        self.gone, self.asleep = gone, asleep
        self.interrupts.dead = gone or asleep
        self.engine_runs(self.regs[0])

    def run(self):
        """Run what is due: delayed effects, moderated interrupts."""
        with self.lock:
            self.interrupts.step()

    def take_violations(self, vf=None):
        """Violations that the data path found since the last call: (register, value, section, message)."""
        return self.engine.take_violations(vf)


def step_all(list chips not None, int steps, uint32_t budget, uint64_t ns):
    """`steps` times: `ns` of virtual time pass and every port moves up to `budget` packets a direction.

    Returns how many packets moved.
    """
    cdef Controller one, other
    cdef uint64_t moved = 0
    cdef int _
    one = chips[0]
    other = chips[len(chips) - 1]
    if one is None or other is None or one.lock is not other.lock:
        raise ConfigError(f"step_all({chips!r}): expected the controllers of one card")
    one.lock.take_gil()
    try:
        with nogil:
            for _ in range(steps):
                one.clock.advance(ns)
                one.interrupts.step()
                moved += one.engine.step(budget)
                if other is not one:
                    other.interrupts.step()
                    moved += other.engine.step(budget)
    finally:
        one.lock.give()
    return moved
