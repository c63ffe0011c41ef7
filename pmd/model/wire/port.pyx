# SPDX-License-Identifier: BSD-3-Clause
"""Wires between model ports of one process, and the loop plug.

A perfect wire costs nothing: the sender puts its frames together in the receiver's packet buffer. One that does something to
frames has a `Flight` for each direction, which the receiver empties. The two ends may be ports of two cards, each with a
thread of its own. Plugging and unplugging need the locks of both cards.
"""

from libc.stdint cimport uint32_t, uint64_t

from dataplane.errors import ConfigError
from dataplane.pmd.model.netem.flight cimport NEVER


cdef class PortWire(Wire):
    """A wire from port `a` to port `b`, both ways.

    netem: what happens to frames on their way, None: nothing. elastic: while the receiver's packet buffer is full the sender
    waits; without it frames are lost and counted (RXMPC), as on a real wire. Raises ConfigError for a port that has a wire.
    """

    def __cinit__(self, Engine a not None, Engine b not None, netem=None, *, bint elastic=True):
        if a is b:
            raise ConfigError(f"a wire from {a.name} to itself: use a LoopPlug")
        for engine in (a, b):
            if engine.wire is not None:
                raise ConfigError(f"{engine.name} has a wire already: unplug it first")
        self._set(elastic, netem)
        self.a, self.b = a, b
        self.live = True  # frames under way to a port that may not reach memory move on, or their sender would wait
        if self.outward is None:
            a.plug(self, b.port.rx_fifo, elastic, False, &b.lit)
            b.plug(self, a.port.rx_fifo, elastic, False, &a.lit)
        else:
            a.plug(self, self.outward.entry, True, True, &b.lit)
            b.plug(self, self.inward.entry, True, True, &a.lit)
        a.port.peer_pace, b.port.peer_pace = &b.pace, &a.pace

    cdef void left(self, Engine engine):
        # A wire with one end is no wire. The ends may be gone already when garbage is collected.
        for end in (self.a, self.b):
            if end is not None:
                end.unplug()

    def leads_to(self, Engine engine not None):
        return self.a.name if engine is self.b else self.b.name

    cdef uint32_t step(self, Engine engine) noexcept nogil:
        """Frames that have arrived at `engine`."""
        if engine is self.b:
            return self.outward.carry(engine.port.rx_fifo, engine.port.now_ns, self.elastic)
        return self.inward.carry(engine.port.rx_fifo, engine.port.now_ns, self.elastic)

    cdef uint64_t due(self, Engine engine) noexcept nogil:
        # The other end's card receives its frames itself.
        if self.outward is None:
            return NEVER
        return self.outward.next_due if engine is self.b else self.inward.next_due


cdef class LoopPlug(Wire):
    """A loopback plug: a port receives what it sends. netem, elastic: as for PortWire."""

    def __cinit__(self, Engine port not None, netem=None, *, bint elastic=True):
        self._set(elastic, netem)
        self.port, self.live = port, True
        if self.outward is None:
            port.plug(self, port.port.rx_fifo, elastic, False, NULL)
        else:
            port.plug(self, self.outward.entry, True, True, NULL)

    def leads_to(self, Engine engine not None):
        return "itself"

    cdef uint32_t step(self, Engine engine) noexcept nogil:
        return self.outward.carry(engine.port.rx_fifo, engine.port.now_ns, self.elastic)
