# SPDX-License-Identifier: BSD-3-Clause
"""The data path of one port: decodes what the driver wrote to the register file, and moves frames step by step."""

from dataplane.pmd.datasheet.word cimport *
from dataplane.pmd.model.classify.director cimport director_written
from dataplane.pmd.model.datapath.decode cimport RATE_CREDIT, decode_port, decode_queues, decode_tables
from dataplane.pmd.model.datapath.decode cimport reset_port, reset_queues, touched
from dataplane.pmd.model.datapath.iommu cimport current_epoch
from dataplane.pmd.model.datapath.rsc cimport rsc_forget
from dataplane.pmd.model.datapath.rx cimport rx_step
from dataplane.pmd.model.datapath.rxq cimport decode_rxq
from dataplane.pmd.model.datapath.stamps cimport stampers
from dataplane.pmd.model.datapath.tso cimport TSO_PACKET_MAX
from dataplane.pmd.model.datapath.tx cimport decode_txq, tx_step
from dataplane.pmd.model.netem.flight cimport NEVER
from dataplane.pmd.model.shared cimport REGISTER_BYTES
from dataplane.pmd.model.state.bytes cimport mdl_ctz64
from dataplane.pmd.model.state.fifo cimport mdl_frame, mdl_peek, mdl_pop
from dataplane.pmd.model.state.pools cimport POOLS
from dataplane.pmd.model.state.port cimport (
    DIRTY_FILTER,
    DIRTY_POOLS,
    DIRTY_STEER,
    mdl_port_free,
    mdl_port_new,
)
from dataplane.pmd.model.state.queue cimport QUEUES
from dataplane.pmd.model.state.stamps cimport mdl_count_stampers
from dataplane.pmd.model.state.violation cimport VIOLATIONS

from dataplane.errors import ConfigError
from dataplane.pmd.model.state.violation import describe

cdef enum:
    QDE_WRITE = 1 << 16
    FDIR = 1 << 16  # EICR
    RATE_ON = 1 << 31  # RTTBCNRC.RS_ENA
    RATE_FACTOR = 0xFFFFFF


cdef class Wire:
    """A wire that is plugged into a port."""

    @property
    def flights(self):
        """Frames in flight, one `Flight` for each direction; empty for a wire without impairments."""
        return tuple(way for way in (self.outward, self.inward) if way is not None)

    def leads_to(self, Engine engine not None):
        """The other end, seen from `engine`, as in "model1" or "tap t0"."""
        return ""

    cdef _set(self, bint elastic, netem):
        self.elastic = elastic
        if netem:
            self.outward, self.inward = Flight(netem, 0), Flight(netem, 1)

    cdef uint64_t due(self, Engine engine) noexcept nogil:
        if self.outward is None:
            return NEVER
        return min(self.outward.next_due, self.inward.next_due)

    def prepare(self):
        """Check and reserve what it needs to run, without other changes. Raises if it cannot run."""

    def begin(self):
        """Make what it needs: all checks have passed, and its port will run now."""

    cdef uint32_t step(self, Engine engine) noexcept nogil:
        return 0

    cdef void left(self, Engine engine):
        pass


cdef class Engine(DataPath):
    """The DMA side of one port. `registers`: its register file; `interrupts`: what its work signals; `clock`: the card's."""

    def __cinit__(self, str name not None, RegisterFile registers not None, Interrupts interrupts not None, Clock clock not None):
        self.name = name
        self.registers, self.interrupts, self.clock = registers, interrupts, clock
        self.regs = <uint32_t *> registers.at
        self.domain = Domain(name)
        self.port = mdl_port_new(TSO_PACKET_MAX)
        if self.port == NULL:
            raise MemoryError(f"no memory for the data path of {name}")
        self.port.regs = self.regs
        self.port.domain = self.domain.c
        self.port.stamps.virtual_ns = &clock.ns if clock.virtual else NULL
        self._vf_domains = [None for _ in range(POOLS)]
        self._offences = []
        self._vf_bells = [None for _ in range(POOLS)]
        for index in range(QUEUES):
            self.port.rx_tail[index] = self._register_tail(index, False)
            self.port.tx_tail[index] = self._register_tail(index, True)
        self.port.elastic = 1
        self.reset()

    def __dealloc__(self):
        if self.port != NULL:
            if self.port.stamps.rx_on:
                mdl_count_stampers(&stampers, -1)
            mdl_port_free(self.port)

    cdef void adopt(self) noexcept:
        cdef Domain domain
        self.domain.lock = self.lock
        for domain in self._vf_domains:
            if domain is not None:
                domain.lock = self.lock

    cdef void _enter(self) noexcept:
        """Keep the runner out while another thread changes the data path. A thread may enter more than once."""
        if self.lock is not None:
            self.lock.take_gil()

    cdef void _leave(self) noexcept:
        if self.lock is not None:
            self.lock.give()

    # ---- registers ------------------------------------------------------------------------------------------

    cdef void written(self, uint32_t offset, uint32_t value) noexcept nogil:
        cdef mdl_port *p = self.port
        cdef uint32_t queue, word = offset >> 2
        if self.losing and word & 15 == W_RDT:
            return  # a tail: W_TDT is the same
        if W_RXQ <= word < W_RXQ + 64 * 16:
            self._decode_rx((word - W_RXQ) >> 4)
        elif W_RXQ_HIGH <= word < W_RXQ_HIGH + 64 * 16:
            self._decode_rx(64 + ((word - W_RXQ_HIGH) >> 4))
        elif W_TXQ <= word < W_TXQ + 128 * 16:
            decode_txq(p, (word - W_TXQ) >> 4)
        elif W_RQSMR <= word < W_RQSMR + 32:
            for queue in range((word - W_RQSMR) * 4, (word - W_RQSMR) * 4 + 4):
                p.rxq[queue].set = self.regs[word] >> ((queue & 3) * 8) & 0xF
        elif W_TQSM <= word < W_TQSM + 32:
            for queue in range((word - W_TQSM) * 4, (word - W_TQSM) * 4 + 4):
                p.txq[queue].set = self.regs[word] >> ((queue & 3) * 8) & 0xF
        elif word == W_QDE:
            if value & QDE_WRITE:
                queue = value >> 8 & 0x7F
                p.qde[queue >> 6] &= ~(<uint64_t> 1 << (queue & 63))
                p.qde[queue >> 6] |= <uint64_t> (value & 1) << (queue & 63)
                decode_rxq(p, queue)
        elif word == W_RTTBCNRC:
            self._set_rate(self.regs[W_RTTDQSEL] & 0x7F, value & RATE_FACTOR if value & RATE_ON else 0)
        elif word == W_RTTBCNRM:
            p.credit = value * RATE_CREDIT
        elif word == W_GCR_EXT:
            self._share_out()
            self._remap()
        elif W_FDIRCTRL <= word <= W_FDIRIP6M:
            if director_written(p, word):
                self.interrupts.other_cause(FDIR)
            if word == W_FDIRCTRL:
                p.dirty |= DIRTY_STEER
                decode_port(p, self.pace)
        elif word < W_RXQ:
            if word == W_CTRL_EXT:
                p.dirty |= DIRTY_FILTER
        else:
            # The next step decodes the tables, because a driver writes a whole table at a time.
            p.dirty |= touched(offset)
            if W_RDRXCTL <= word < W_MTA or word >= W_VMVIR:
                decode_port(p, self.pace)

    cdef void _decode_rx(self, uint32_t queue) noexcept nogil:
        if self.stopped:
            rsc_forget(self.port)  # open packets can no longer be written to memory
        decode_rxq(self.port, queue)

    cdef void reset(self) noexcept nogil:
        cdef mdl_port *p = self.port
        reset_port(p)
        self._share_out()
        reset_queues(p)
        decode_port(p, self.pace)
        decode_tables(p)

    cdef void _remap(self) noexcept nogil:
        """A DMA map or the owner of a pool changed: translate the addresses of all rings again."""
        cdef mdl_port *p = self.port
        p.epoch = current_epoch()
        if self.stopped:
            p.epoch -= 1  # later, when it runs again: a card that was pulled out has no queues
            return
        decode_queues(p)

    # ---- pools ----------------------------------------------------------------------------------------------

    cpdef Domain domain_of_vf(self, int n):
        """The I/O address space of VF n, whether the VF exists now or not."""
        cdef Domain domain
        if not 0 <= n < POOLS:
            raise ConfigError(f"{self.name}: no VF {n}: the 82599 has 0 to {POOLS - 1}")
        if self._vf_domains[n] is None:
            domain = Domain(f"{self.name}.vf{n}")
            domain.lock = self.lock
            self._vf_domains[n], self._vf_domain[n] = domain, domain.c
        return self._vf_domains[n]

    cpdef share(self, uint32_t vfs, uint64_t masters):
        """Give VFs 0 to vfs - 1 the pools of their numbers. Those in `masters` (bit n: VF n) may do DMA."""
        if vfs > POOLS:
            raise ConfigError(f"{self.name}: {vfs} VFs: the 82599 has at most {POOLS}")
        for n in range(vfs):
            self.domain_of_vf(n)
        self._enter()
        self._vfs, self._masters = vfs, masters
        self._share_out()
        self._remap()
        self._leave()

    cdef void _share_out(self) noexcept nogil:
        """Assign pools to functions. GCR_EXT has the number of pools, the SR-IOV capability that of VFs."""
        cdef mdl_port *p = self.port
        cdef uint32_t mode = self.regs[W_GCR_EXT] & 3, pool
        cdef uint32_t pools = (<uint32_t> 8) << mode if mode else 0
        p.pool_shift = 4 - mode if mode else 0
        p.vf_pools = 0
        for pool in range(POOLS):
            p.domain_of_pool[pool] = p.domain
            if pool < self._vfs and pool < pools:
                p.vf_pools |= <uint64_t> 1 << pool
                p.domain_of_pool[pool] = self._vf_domain[pool] if self._masters >> pool & 1 else NULL
        self.interrupts.vf_pools, self.interrupts.pool_shift = p.vf_pools, p.pool_shift
        p.dirty |= DIRTY_POOLS
        self._place_tails()

    # ---- tails ----------------------------------------------------------------------------------------------

    cpdef attach(self, int vf, Doorbells bells):
        """Move a function's tails there, with their values; None: back to the register file."""
        if vf >= POOLS:
            raise ConfigError(f"{self.name}: no VF {vf}: the 82599 has 0 to {POOLS - 1}")
        before = self._pf_bells  # freed below, when no pointer to it is left
        self._enter()
        if vf < 0:
            self._pf_bells = bells
        else:
            before = self._vf_bells[vf]
            self._vf_bells[vf] = bells
            self._vf_bell[vf] = <void *> bells if bells is not None else NULL
        self._unheard = any([each is not None and not each.wakes for each in (self._pf_bells, *self._vf_bells)])
        self.tell_clients(self._resting)
        self._place_tails()
        self._remap()
        self._leave()
        del before

    cdef volatile uint32_t *_register_tail(self, uint32_t queue, bint tx) noexcept nogil:
        if tx:
            return self.registers.at + W_TXQ + queue * 16 + W_TDT
        return self.registers.at + (W_RXQ + queue * 16 if queue < 64 else W_RXQ_HIGH + (queue - 64) * 16) + W_RDT

    cdef void _place_tails(self) noexcept nogil:
        """Each queue's tail is in its owner's pages. It keeps its value when the owner changes."""
        cdef mdl_port *p = self.port
        cdef uint32_t queue, first
        cdef void *bells
        cdef volatile uint32_t *rx
        cdef volatile uint32_t *tx
        for queue in range(QUEUES):
            first, bells = 0, <void *> self._pf_bells if self._pf_bells is not None else NULL
            if p.pool_shift and p.vf_pools >> (queue >> p.pool_shift) & 1:
                first, bells = queue >> p.pool_shift << p.pool_shift, self._vf_bell[queue >> p.pool_shift]
            rx = (<Doorbells> bells).rx_tail(queue - first) if bells != NULL else NULL
            tx = (<Doorbells> bells).tx_tail(queue - first) if bells != NULL else NULL
            self._move_tail(&p.rx_tail[queue], rx if rx != NULL else self._register_tail(queue, False))
            self._move_tail(&p.tx_tail[queue], tx if tx != NULL else self._register_tail(queue, True))

    cdef bint is_quiet(self) noexcept nogil:
        cdef mdl_port *p = self.port
        if p.wire_steps or p.rsc_open or self.interrupts.held or self.interrupts.vfs.waiting or p.rated[0] | p.rated[1]:
            return False
        return not self._unheard or not (p.rx_enabled[0] | p.rx_enabled[1] | p.tx_enabled[0] | p.tx_enabled[1])

    cdef void tell_clients(self, uint32_t resting) noexcept nogil:
        cdef uint32_t vf
        cdef void *bells
        self._resting = resting
        if self._pf_bells is not None and self._pf_bells.resting != NULL:
            self._pf_bells.resting[0] = resting
        for vf in range(POOLS):
            bells = self._vf_bell[vf]
            if bells != NULL and (<Doorbells> bells).resting != NULL:
                (<Doorbells> bells).resting[0] = resting

    cdef uint64_t due(self) noexcept nogil:
        return self.wire.due(self) if self.port.wire_steps else NEVER

    cdef void _move_tail(self, volatile uint32_t **place, volatile uint32_t *to) noexcept nogil:
        if place[0] != to:
            to[0] = place[0][0]
            place[0] = to

    cdef volatile uint32_t *tail_at(self, uint32_t word) noexcept nogil:
        if W_TXQ <= word < W_TXQ + 128 * 16:
            return self.port.tx_tail[(word - W_TXQ) >> 4]
        if W_RXQ <= word < W_RXQ + 64 * 16:
            return self.port.rx_tail[(word - W_RXQ) >> 4]
        if W_RXQ_HIGH <= word < W_RXQ_HIGH + 64 * 16:
            return self.port.rx_tail[64 + ((word - W_RXQ_HIGH) >> 4)]
        return NULL

    cdef void _set_rate(self, uint32_t queue, uint32_t factor) noexcept nogil:
        """8.2.3.10.16: factor = line rate / queue rate. A factor below 1 is ignored.

        SILENT about a paused queue whose factor changes: it stays paused, and its credit is lost.
        """
        cdef mdl_port *p = self.port
        p.txq[queue].rate = factor if factor > 1 << 14 else 0
        p.txq[queue].idle_at = max(p.txq[queue].idle_at, self.clock.now() << 6)
        p.rated[queue >> 6] &= ~(<uint64_t> 1 << (queue & 63))
        p.rated[queue >> 6] |= <uint64_t> (p.txq[queue].rate != 0) << (queue & 63)

    # ---- running --------------------------------------------------------------------------------------------

    cdef uint32_t step(self, uint32_t budget) noexcept nogil:
        cdef mdl_port *p = self.port
        cdef uint32_t work
        if self.stopped:
            if p.wire_steps and self.wire.live:
                p.now_ns = self.clock.now()
                self.wire.step(self)
            return self._discard(budget)
        if p.dirty:
            decode_tables(p)
        if p.epoch != current_epoch():
            self._remap()
        work = 0
        if p.wire_steps or p.slow > 1 or p.merging or p.rated[0] | p.rated[1] or stampers:
            p.now_ns = self.clock.now()
        if p.wire_steps:
            work += self.wire.step(self)
        if self.link or p.loopback:
            work += tx_step(p, budget)
        work += rx_step(p, budget)
        if work:
            self._tell()
        if self.strict:
            self.violations = <uint32_t> (p.violations - self._taken)
        return work

    cdef uint32_t _discard(self, uint32_t budget) noexcept nogil:
        """Lose what arrives at a port that may not do DMA.

        SILENT: silicon would keep a packet buffer full, and a sender that waits for room would wait for ever.
        """
        cdef mdl_frame *frame = mdl_peek(self.port.rx_fifo)
        cdef uint32_t done = 0
        while frame != NULL and done < budget:
            mdl_pop(self.port.rx_fifo, frame)
            done += 1
            frame = mdl_peek(self.port.rx_fifo)
        return done

    cdef void _tell(self) noexcept nogil:
        """Raise the interrupt causes of this step, each once."""
        cdef mdl_port *p = self.port
        cdef uint32_t half
        cdef uint64_t left
        for half in range(2):
            left, p.rx_causes[half] = p.rx_causes[half], 0
            while left:
                self.interrupts.rx_cause(half * 64 + mdl_ctz64(left))
                left &= left - 1
            left, p.tx_causes[half] = p.tx_causes[half], 0
            while left:
                self.interrupts.tx_cause(half * 64 + mdl_ctz64(left))
                left &= left - 1
        if p.other_causes:
            self.interrupts.other_cause(p.other_causes)
            p.other_causes = 0

    # ---- the wire -------------------------------------------------------------------------------------------

    cdef plug(self, Wire wire, mdl_fifo *out, bint elastic, bint wire_steps, const bint *peer_lit):
        if self.wire is not None:
            raise ConfigError(f"{self.name} has a wire already: unplug it first")
        self._enter()
        self.wire = wire
        self.port.tx_fifo, self.port.peer_lit = out, peer_lit
        self.port.elastic, self.port.wire_steps, self.port.wired = elastic, wire_steps, 1
        self._leave()

    cpdef unplug(self):
        """Pull the wire out of this port. The other end loses its link."""
        cdef Wire wire = self.wire
        if wire is None:
            return
        self._enter()
        self.port.wired = self.port.wire_steps = 0
        self.port.tx_fifo, self.port.peer_lit, self.port.peer_pace = NULL, NULL, NULL
        self.wire = None
        self._leave()
        wire.left(self)

    cdef bint wire_up(self) noexcept nogil:
        cdef mdl_port *p = self.port
        return (
            p.wired
            and (p.peer_lit == NULL or p.peer_lit[0])
            and (p.peer_pace == NULL or p.peer_pace[0] == self.pace)
        )

    cdef bint queue_drop(self, uint32_t queue) noexcept nogil:
        return self.port.qde[queue >> 6 & 1] >> (queue & 63) & 1

    # ---- for Python -----------------------------------------------------------------------------------------

    def take_violations(self, vf=None):
        """(register, value, section, text) for each violation since the last call.

        vf: those on the queues of that VF, in its own numbering, or of the PF (-1); None: of all queues.
        """
        cdef mdl_port *p = self.port
        cdef uint64_t index, first = max(self._taken, p.violations - VIOLATIONS if p.violations > VIOLATIONS else 0)
        cdef int pool
        for index in range(first, p.violations):
            v = p.violation[index % VIOLATIONS]
            pool = v.queue >> p.pool_shift if p.pool_shift else 0
            if p.vf_pools >> pool & 1:
                register, *rest = describe(v.code, v.queue - (pool << p.pool_shift), v.index, v.value)
                self._offences.append((pool, (f"VF{register}", *rest)))
            else:
                self._offences.append((-1, describe(v.code, v.queue, v.index, v.value)))
        self._taken = p.violations
        self.violations = 0
        found = [offence for owner, offence in self._offences if vf is None or vf == owner]
        # Keep only the newest VIOLATIONS entries of each owner that does not take them.
        self._offences = [] if vf is None else [pair for pair in self._offences if pair[0] != vf][-VIOLATIONS:]
        return found

    @property
    def directed(self):
        """Number of filters in the flow director."""
        return self.port.director.used

    def set_lit(self, bint on):
        """Bring this end of the wire up or down, as seen by the other end."""
        self.lit = on

    def set_link(self, bint on):
        """Set the link. Without link the port does not send."""
        self.link = on

    @property
    def is_wire_up(self):
        """Whether a wire is plugged in and its other end is up."""
        return self.wire_up()

    def run(self, unsigned int budget=64):
        """Run one step. Returns how many packets it moved."""
        self._enter()
        self.interrupts.step()
        work = self.step(budget)
        self._leave()
        return work

    def write(self, unsigned int offset, unsigned int value):
        """Store a register and decode it, without access rules, for tests of the data path alone."""
        if offset >= REGISTER_BYTES or offset & 3:
            raise IndexError(f"no register at {offset:#x}: registers are dwords below {REGISTER_BYTES:#x}")
        self._enter()
        self.regs[offset >> 2] = value
        self.written(offset, value)
        self._leave()

    def lose_doorbells(self, str kind, unsigned int queue, bint lost):
        """A fault: while `lost`, the data path does not see changes of the tail of that "rx" or "tx" queue."""
        if kind not in ("rx", "tx") or queue >= QUEUES:
            raise ConfigError(f"{self.name}: no {kind} queue {queue}: expected 'rx' or 'tx' and 0 to {QUEUES - 1}")
        self._enter()
        cdef volatile uint32_t *tail = self.port.rxq[queue].tail if kind == "rx" else self.port.tx_bell[queue]
        cdef uint32_t *stale = &self.stale[queue if kind == "rx" else 128 + queue]
        self.losing = lost
        if lost:
            stale[0] = tail[0]
            tail = stale
        else:
            tail = self.port.rx_tail[queue] if kind == "rx" else self.port.tx_tail[queue]
        if kind == "rx":
            self.port.rxq[queue].tail = tail
        else:
            self.port.tx_bell[queue] = tail
        self._leave()

    def restart(self):
        """Reset the data path, as a reset of the port does."""
        self._enter()
        self.reset()
        self._leave()
