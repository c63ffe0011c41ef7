# SPDX-License-Identifier: BSD-3-Clause
"""The data path of one port. It meets the controller in the register file and in this class.

All of this is called under the card's lock. Offsets are canonical: the caller has resolved aliases.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from dataplane.pmd.model.datapath.doorbell cimport Doorbells
from dataplane.pmd.model.datapath.iommu cimport Domain
from dataplane.pmd.model.interrupts.pf cimport Interrupts
from dataplane.pmd.model.netem.flight cimport Flight
from dataplane.pmd.model.shared cimport Clock, DataPath, RegisterFile
from dataplane.pmd.model.state.domain cimport mdl_domain
from dataplane.pmd.model.state.fifo cimport mdl_fifo
from dataplane.pmd.model.state.port cimport mdl_port


cdef class Engine


# A wire plugged into a port. Its kinds are in wire/: port, tap, pcap, peer.
cdef class Wire:
    cdef bint live  # stepped also while the port may not do DMA, because its other end would wait
    cdef readonly bint elastic  # frames wait while the packet buffer is full; else they are lost and counted (RXMPC)
    # Frames on their way from the port and to it (of a PortWire: a to b, b to a). None: no impairments.
    cdef readonly Flight outward, inward

    # Set the two above. Raises ConfigError.
    cdef _set(self, bint elastic, netem)

    # The time (ns of the card's clock) at which the wire next has a frame for the port, if it is known; else NEVER.
    cdef uint64_t due(self, Engine engine) noexcept nogil

    # Move frames that arrived into the port's packet buffer, and frames that it sent out of its fifo. Called in each step
    # of a port that was plugged with wire_steps=True.
    cdef uint32_t step(self, Engine engine) noexcept nogil

    # The port is no longer an end of the wire: notify the other end.
    cdef void left(self, Engine engine)


# written, reset, step, wire_up, lit, link, stopped, strict, violations, take_violations: as pmd.model.shared.DataPath says.
cdef class Engine(DataPath):
    cdef mdl_port *port              # the state that the hot loops use (state/port.h)
    cdef uint32_t *regs              # 0x8000 dwords
    cdef readonly RegisterFile registers
    cdef readonly Interrupts interrupts
    cdef readonly Clock clock
    cdef readonly Domain domain      # the PF's DMA map
    cdef list _offences              # (VF, or -1 for the PF; violation), not taken yet
    cdef list _vf_domains            # of VF n; made at first use, and kept
    cdef (mdl_domain *)[64] _vf_domain
    cdef uint64_t _masters           # VFs that are bus masters
    cdef uint32_t _vfs               # number of VFs: VF n has pool n
    cdef readonly str name
    cdef readonly Wire wire          # the wire that is plugged in, or None

    # The I/O address space of VF n, whether the VF exists now or not.
    cpdef Domain domain_of_vf(self, int n)

    # Give VFs 0 to vfs - 1 the pools of their numbers. Those in `masters` may do DMA. The other pools are the PF's.
    cpdef share(self, uint32_t vfs, uint64_t masters)

    # Plug a wire in: frames go to `out`; if it is full, the port waits (elastic) or loses them. peer_lit: the other end's
    # `lit`; NULL: the wire is always up. Raises ConfigError if a wire is plugged in already.
    cdef plug(self, Wire wire, mdl_fifo *out, bint elastic, bint wire_steps, const bint *peer_lit)
    cpdef unplug(self)

    # Move a function's tails there (None: back to the register file). vf: its number, -1: the PF.
    cpdef attach(self, int vf, Doorbells bells)
    cdef Doorbells _pf_bells
    cdef list _vf_bells
    cdef (void *)[64] _vf_bell       # the same, for code without the GIL
    cdef bint _unheard               # a client may write tails without waking the card
    cdef uint32_t _resting           # the value of the clients' words

    # Whether there is no work unless a register is written or a client wakes the card: no wire to step, no tail that may
    # change silently, no interrupt that waits. For the runner, before it rests for long.
    cdef bint is_quiet(self) noexcept nogil

    # When the next frame in flight lands, if known: ns of the card's clock, or NEVER. The card rests no longer than that.
    cdef uint64_t due(self) noexcept nogil

    # Set the clients' words: the card rests (1), or reads their tails by itself (0).
    cdef void tell_clients(self, uint32_t resting) noexcept nogil
    cdef volatile uint32_t *_register_tail(self, uint32_t queue, bint tx) noexcept nogil
    cdef void _move_tail(self, volatile uint32_t **place, volatile uint32_t *to) noexcept nogil
    cdef void _place_tails(self) noexcept nogil

    cdef bint losing                 # a fault: doorbells get lost
    cdef uint32_t[256] stale         # the old values of tails whose doorbells are lost, Rx queues first

    # The drop enable that PFQDE holds for an Rx queue (a write to PFQDE comes in by written()).
    cdef bint queue_drop(self, uint32_t queue) noexcept nogil

    cdef uint64_t _taken             # violations handed out so far
    cdef void _enter(self) noexcept
    cdef void _leave(self) noexcept
    cdef void _decode_rx(self, uint32_t queue) noexcept nogil
    cdef void _remap(self) noexcept nogil
    cdef void _share_out(self) noexcept nogil
    cdef uint32_t _discard(self, uint32_t budget) noexcept nogil
    cdef void _set_rate(self, uint32_t queue, uint32_t factor) noexcept nogil
    cdef void _tell(self) noexcept nogil
