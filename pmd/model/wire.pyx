# SPDX-License-Identifier: BSD-3-Clause
"""Wires between model ports of one process, and the loop plug.

A perfect wire costs nothing: the sender puts its frames together in the receiver's packet buffer. A wire with loss,
delay, a rate or corruption has a buffer for each direction, which the receiver empties. The two ends may be ports of
two cards, each with a thread of its own. Plugging and unplugging need the locks of both cards.
"""

from libc.string cimport memcpy

from dataplane.errors import ConfigError
from dataplane.pmd.model.model cimport (
    BAD_CRC,
    mdl_commit,
    mdl_fifo_free,
    mdl_fifo_new,
    mdl_fifo_refresh,
    mdl_frame,
    mdl_label,
    mdl_lose,
    mdl_peek,
    mdl_pop,
    mdl_reserve,
)

cdef enum:
    TX_BUFFER = 160 << 10  # what the chip holds of frames that the wire has not taken yet
    LONG_BUFFER = 8 << 20  # and what is in flight on a long wire
    PUMP = 64  # frames a step
    FCS_SIZE = 4
    OVERHEAD = 20  # preamble, start of frame, gap


cdef uint64_t _draw(Lane *lane) noexcept nogil:
    """xorshift64*: the next 64 random bits of this lane."""
    lane.random ^= lane.random >> 12
    lane.random ^= lane.random << 25
    lane.random ^= lane.random >> 27
    return lane.random * <uint64_t> 0x2545F4914F6CDD1D


cdef uint64_t _below(double probability) except? 0:
    """What a draw must be below to happen with that probability."""
    if not 0.0 <= probability <= 1.0:
        raise ConfigError(f"a probability of {probability}: it lies between 0 and 1")
    if probability == 1.0:
        return ~<uint64_t> 0
    return <uint64_t> (probability * 18446744073709551616.0)


cdef class PortWire(Wire):
    """A wire from port `a` to port `b`, both ways.

    loss, corrupt: probability for each frame to vanish, or to arrive with a flipped bit and so a wrong FCS; drawn from
    `seed`. delay_ns: how long a frame is under way. rate: bit/s, None for as fast as the host goes. elastic: while the
    receiver's packet buffer is full the sender waits; without it frames are lost and counted (RXMPC), as on a real wire.
    Raises ConfigError for impossible values and for a port that has a wire.
    """

    def __cinit__(
        self,
        Engine a not None,
        Engine b not None,
        *,
        double loss=0.0,
        double corrupt=0.0,
        uint64_t delay_ns=0,
        rate=None,
        bint elastic=True,
        uint64_t seed=0,
    ):
        if a is b:
            raise ConfigError(f"a wire from {a.name} to itself: use a LoopPlug")
        if rate is not None and rate <= 0:
            raise ConfigError(f"a wire of {rate} bit/s carries nothing: give a positive rate, or None for no limit")
        for engine in (a, b):
            if engine.wire is not None:
                raise ConfigError(f"{engine.name} has a wire already: unplug it first")
        self._loss_below, self._corrupt_below = _below(loss), _below(corrupt)
        self.loss, self.corrupt, self.delay_ns, self.rate, self.elastic = loss, corrupt, delay_ns, rate, elastic
        self._ns_per_byte = 8e9 / rate if rate is not None else 0.0
        self._perfect = not (self._loss_below or self._corrupt_below or delay_ns or rate is not None)
        self.a, self.b = a, b
        cdef int side
        for side in range(2):
            # Never 0, where xorshift would stay, and different both ways.
            self._lanes[side].random = (seed * 2 + side + 1) * <uint64_t> 0x9E3779B97F4A7C15 | 1
            if not self._perfect:
                self._lanes[side].flight = mdl_fifo_new(LONG_BUFFER if delay_ns else TX_BUFFER)
                if self._lanes[side].flight == NULL:
                    raise MemoryError("no memory for a wire")
        if self._perfect:
            a.plug(self, b.port.rx_fifo, elastic, False, &b.lit)
            b.plug(self, a.port.rx_fifo, elastic, False, &a.lit)
        else:
            a.plug(self, self._lanes[0].flight, True, True, &b.lit)
            b.plug(self, self._lanes[1].flight, True, True, &a.lit)
        a.port.peer_pace, b.port.peer_pace = &b.pace, &a.pace

    def __dealloc__(self):
        mdl_fifo_free(self._lanes[0].flight)
        mdl_fifo_free(self._lanes[1].flight)

    cdef void left(self, Engine engine):
        # A wire with one end is no wire. The ends may be gone already when garbage is collected.
        for end in (self.a, self.b):
            if end is not None:
                end.unplug()

    cdef uint32_t pump(self, Engine engine) noexcept nogil:
        """Frames that have arrived at `engine`."""
        cdef Lane *lane = &self._lanes[0 if engine is self.b else 1]
        cdef mdl_frame *frame
        cdef mdl_frame *copy
        cdef uint64_t now = engine.port.now_ns, start, arrival, bit
        cdef uint32_t done = 0
        mdl_fifo_refresh(engine.port.rx_fifo)
        while done < PUMP:
            frame = mdl_peek(lane.flight)
            if frame == NULL:
                break
            start = max(frame.ready, lane.free_at)
            arrival = start + <uint64_t> ((frame.len + FCS_SIZE + OVERHEAD) * self._ns_per_byte)
            if arrival + self.delay_ns > now:
                break
            copy = mdl_reserve(engine.port.rx_fifo, frame.len)
            if copy == NULL and self.elastic:
                break
            lane.free_at = arrival
            if self._loss_below and _draw(lane) < self._loss_below:
                lane.lost += 1
            elif copy == NULL:
                mdl_lose(engine.port.rx_fifo, frame.data, frame.len, frame.flags)
            else:
                memcpy(copy.data, frame.data, frame.len)
                mdl_label(copy, frame.len, frame.flags, 0, arrival)
                if self._corrupt_below and _draw(lane) < self._corrupt_below:
                    bit = _draw(lane) % (<uint64_t> frame.len * 8)
                    copy.data[bit >> 3] ^= 1 << (bit & 7)
                    copy.flags |= BAD_CRC
                    lane.corrupted += 1
                mdl_commit(engine.port.rx_fifo, copy.len)
            mdl_pop(lane.flight, frame)
            done += 1
        return done

    @property
    def lost(self):
        """Frames that the wire lost: (a to b, b to a)."""
        return self._lanes[0].lost, self._lanes[1].lost

    @property
    def corrupted(self):
        """Frames that the wire corrupted: (a to b, b to a)."""
        return self._lanes[0].corrupted, self._lanes[1].corrupted


cdef class LoopPlug(Wire):
    """What a port sends comes back to it."""

    def __cinit__(self, Engine port not None):
        self.port = port
        port.plug(self, port.port.rx_fifo, True, False, NULL)
