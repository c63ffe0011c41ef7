# SPDX-License-Identifier: BSD-3-Clause
"""One port's data path: it meets the controller in the register file and in this class.

Everything here is called under the card's lock. Offsets are canonical: the caller has resolved aliases.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from dataplane.pmd.model.datapath.doorbell cimport Doorbells
from dataplane.pmd.model.netem.flight cimport Flight
from dataplane.pmd.model.interrupts.pf cimport Interrupts
from dataplane.pmd.model.datapath.iommu cimport Domain
from dataplane.pmd.model.state.domain cimport mdl_domain
from dataplane.pmd.model.state.fifo cimport mdl_fifo
from dataplane.pmd.model.state.port cimport mdl_port
from dataplane.pmd.model.shared cimport Clock, DataPath, RegisterFile


cdef class Engine


# What is plugged into a port. The kinds are in pmd.model.wire.port, wire_tap, wire_pcap and wire_peer.
cdef class Wire:
    cdef bint live  # pumped while the port may not reach memory, too: somebody at its other end would wait
    cdef readonly bint elastic  # what arrives while the packet buffer is full waits; else it is lost and counted (RXMPC)
    # Frames on their way from the port and to it (of a PortWire: a to b, b to a). None: nothing happens to them.
    cdef readonly Flight outward, inward

    # Set the two above. Raises ConfigError.
    cdef _set(self, bint elastic, netem)

    # When (ns of the card's clock) the wire has something for the port that it knows of; NEVER: it knows of nothing.
    cdef uint64_t due(self, Engine engine) noexcept nogil

    # Move what has arrived into the port's packet buffer and what it sent out of its fifo. Called in each step of a port
    # that was plugged with pumped=True.
    cdef uint32_t pump(self, Engine engine) noexcept nogil

    # Tell the other end of whatever the wire is that this port stopped being one of its ends.
    cdef void left(self, Engine engine)


# written, reset, step, wire_up, lit, link, stopped, strict, violations, take_violations: as pmd.model.shared.DataPath says.
cdef class Engine(DataPath):
    cdef mdl_port *port              # what the hot loops touch (state/port.h)
    cdef uint32_t *regs              # 0x8000 dwords
    cdef readonly RegisterFile registers
    cdef readonly Interrupts interrupts
    cdef readonly Clock clock
    cdef readonly Domain domain      # what the PF's DMA may reach
    cdef list _offences              # (VF, or -1 for the PF, what it did wrong), not asked for yet
    cdef list _vf_domains            # of VF n; made when they are first asked for, and kept
    cdef (mdl_domain *)[64] _vf_domain
    cdef uint64_t _masters           # VFs that are bus masters
    cdef uint32_t _vfs               # that there are: VF n has pool n
    cdef readonly str name
    cdef readonly Wire wire          # what is plugged in, or None

    # The I/O address space of VF n, whether there is that VF now or not.
    cpdef Domain domain_of_vf(self, int n)

    # VFs 0 to vfs - 1 own the pools of their numbers, and those in `masters` may reach memory. The others are the PF's.
    cpdef share(self, uint32_t vfs, uint64_t masters)

    # Plug a wire in: frames go to `out`; if that is full the port waits (elastic) or loses them. peer_lit: the other
    # end's `lit`, NULL if the wire is up whenever it is there. Raises ConfigError if one is plugged in already.
    cdef plug(self, Wire wire, mdl_fifo *out, bint elastic, bint pumped, const bint *peer_lit)
    cpdef unplug(self)

    # From now on a function's tails are there (None: in the register file again). vf: its number, -1: the PF.
    cpdef attach(self, int vf, Doorbells bells)
    cdef Doorbells _pf_bells
    cdef list _vf_bells
    cdef (void *)[64] _vf_bell       # the same, for who has no GIL
    cdef bint _unheard               # a client may move tails, and would not wake us
    cdef uint32_t _resting           # what clients' words say

    # Whether nothing can happen here unless a register is written or a client wakes us: no wire to look at, no tail that
    # moves unheard, no interrupt that waits. For the runner, before it rests for long.
    cdef bint is_quiet(self) noexcept nogil

    # When the next frame in flight lands, as far as is known: ns of the card's clock, or NEVER. No rest goes beyond it.
    cdef uint64_t due(self) noexcept nogil

    # Tell the clients that the card rests (1) or looks at their tails by itself (0).
    cdef void tell_clients(self, uint32_t resting) noexcept nogil
    cdef volatile uint32_t *_register_tail(self, uint32_t queue, bint tx) noexcept nogil
    cdef void _move_tail(self, volatile uint32_t **place, volatile uint32_t *to) noexcept nogil
    cdef void _place_tails(self) noexcept nogil

    cdef bint losing                 # a fault: doorbells get lost
    cdef uint32_t[256] stale         # the tails that lost doorbells left behind, Rx queues first

    # The drop enable that PFQDE holds for an Rx queue (a write to PFQDE comes in by written()).
    cdef bint queue_drop(self, uint32_t queue) noexcept nogil

    cdef uint64_t _taken             # violations handed out so far
    cdef void _enter(self) noexcept
    cdef void _leave(self) noexcept
    cdef void _decode_rx(self, uint32_t queue) noexcept nogil
    cdef void _decode_tables(self) noexcept nogil
    cdef void _decode_port(self) noexcept nogil
    cdef void _remap(self) noexcept nogil
    cdef void _share_out(self) noexcept nogil
    cdef uint32_t _discard(self, uint32_t budget) noexcept nogil
    cdef void _set_rate(self, uint32_t queue, uint32_t factor) noexcept nogil
    cdef void _tell(self) noexcept nogil
