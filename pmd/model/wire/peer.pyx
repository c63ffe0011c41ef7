# SPDX-License-Identifier: BSD-3-Clause
"""A wire whose other end is a port of the model in another process: a ring of frames each way, in memory that both have.

The peer is not believed: `peer_ring.h` checks each of its words, and a frame is copied out of the shared memory before
anything looks at it. The connected socket carries nothing once both ends have greeted (`wire_greeting`): it only shows that
the peer has gone.
"""

import os
from functools import partial

from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from posix.unistd cimport close

from dataplane.clock cimport tsc_hz
from dataplane.machine cimport tsc, unlikely

from dataplane.files.closer import Closer
from dataplane.errors import ConfigError
from dataplane.memory.guard import PeerMemory

from dataplane.pmd.model.datapath.engine cimport Engine, Wire
from dataplane.pmd.model.state.bytes cimport mdl_copy
from dataplane.pmd.model.state.fifo cimport (
    BAD_CRC,
    mdl_commit,
    mdl_fifo,
    mdl_fifo_clear,
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

cdef extern from "<poll.h>" nogil:
    struct pollfd:
        int fd
        short events, revents

    enum:
        POLLIN, POLLRDHUP

    int poll(pollfd *fds, unsigned long n, int timeout)

cdef extern from "wire/peer_ring.h" nogil:
    enum:
        MDL_RING_BYTES, MDL_RING_PAGE, MDL_RING_MEMORY
        MDL_RING_FRAME_MIN, MDL_RING_FRAME_MAX, MDL_RING_BAD_CRC, MDL_RING_LIE

    struct mdl_lane:
        uint32_t asleep

    struct mdl_ring_out:
        mdl_lane *lane
        uint8_t *data
        uint64_t tail, published, head

    struct mdl_ring_in:
        mdl_lane *lane
        uint8_t *data
        uint64_t head, published, tail

    int mdl_ring_put(mdl_ring_out *o, const uint8_t *frame, uint32_t len, uint32_t flags)
    void mdl_ring_publish(mdl_ring_out *o)
    void mdl_ring_shine(mdl_ring_out *o, int lit)
    int mdl_ring_asleep(const mdl_ring_out *o)
    void mdl_ring_wake(mdl_ring_out *o)
    int mdl_ring_look(mdl_ring_in *i)
    int32_t mdl_ring_peek(mdl_ring_in *i, const uint8_t **frame, uint32_t *flags)
    void mdl_ring_pop(mdl_ring_in *i, uint32_t len)
    void mdl_ring_release(mdl_ring_in *i)
    int mdl_ring_light(const mdl_ring_in *i)
    void mdl_ring_doze(mdl_ring_in *i)
    int mdl_ring_sleep(uint32_t *asleep, long us)

cdef enum:
    TX_BUFFER = 160 << 10
    STEP_FRAMES = 128  # frames a step and direction
    BUDGET = 64  # and that many where they do not wait: the port moves no more in a step, and is not to blame for the rest
    PATIENCE_NS = 1_000_000_000  # for a peer that takes nothing, until frames to it are lost

# Why a peer was cut off: indices of `_WHY`.
cdef enum Wrong:
    NOTHING
    FRAME
    INDEX
    LIGHT
    SPEECH
    MEMORY

_WHY = (
    None,
    "what it put into the ring is no frame",
    "an index of the ring that it wrote is impossible",
    "its light is neither on nor off",
    "it sent a message after its greeting",
    "the memory was taken away",
)
_LOOK_US = 500  # how often the socket is looked at, which is a system call
_REST_MOST = 0.1  # seconds
RING_MEMORY = MDL_RING_MEMORY
"""Bytes of the memory that both ends of a wire map."""


cdef class PeerWire(Wire):
    """Plugged into `port`. Without a connection, or while the peer's light is off, its link is down.

    `connect` gives it a socket and memory. While the peer takes no frames the port waits, as long as `PATIENCE_NS`; then
    frames are lost until it takes some. netem: what happens to frames on their way, None: nothing. elastic: what comes while
    the port's packet buffer is full waits in the peer's ring; without it frames are taken, lost and counted (RXMPC). Each end
    says that of what it receives. The caller of every method but `rest` holds the card's lock. Raises ConfigError if the
    port has a wire.
    """

    cdef readonly Engine port
    cdef readonly bint connected
    cdef readonly str why  # the peer was cut off, None: it went by itself
    cdef readonly uint64_t sent, received, lost
    cdef readonly object closer  # what the peer sent is closed by a thread: that could wait
    cdef int _fd
    cdef int _wrong
    cdef bint _peer_lit, _told, _ending
    cdef uint64_t _look_at, _look_cycles, _end_at, _end_cycles, _wake_at, _stuck_since, _received_before
    cdef mdl_fifo *_out  # what the peer is given
    cdef mdl_fifo *_in  # what it has sent: the packet buffer, or what is under way to it
    cdef bint _waits  # frames stay in the peer's ring while there is no room for them
    cdef object _memory  # mapped while there is a connection
    cdef mdl_ring_out _outward
    cdef mdl_ring_in _inward
    cdef uint32_t *_asleep  # where `rest` waits; NULL: the peer does not wake us

    def __cinit__(self, Engine port not None, netem=None, *, bint elastic=True):
        self._fd = -1
        if port.wire is not None:
            raise ConfigError(f"{port.name} has a wire already: unplug it first")
        self._set(elastic, netem)
        self.port = port
        self.closer = Closer(f"wire-{port.name}")
        self._look_cycles = <uint64_t> (tsc_hz() * _LOOK_US / 1e6)
        self._end_cycles = <uint64_t> (tsc_hz() * PATIENCE_NS / 1e9)
        self._out = mdl_fifo_new(TX_BUFFER)
        if self._out == NULL:
            raise MemoryError("no memory for a wire")
        self.live = True
        self._in = port.port.rx_fifo if self.inward is None else self.inward.entry
        self._waits = elastic or self.inward is not None
        port.plug(self, self._out if self.outward is None else self.outward.entry, True, True, &self._peer_lit)

    def __dealloc__(self):
        if self._fd >= 0 and self._out != NULL:  # without one nothing was connected, and 0 is a descriptor too
            close(self._fd)
        mdl_fifo_free(self._out)

    def leads_to(self, Engine engine not None):
        return "another process"

    # ---- the connection -------------------------------------------------------------------------------------

    def connect(self, int fd, int memory, bint first):
        """Connect the peer at the other end of this connected socket, which the wire closes.

        memory: a file of RING_MEMORY bytes that the peer has, too; it may be closed afterwards. first: which ring is ours to
        write, the peer's is the other. Raises OSError, and the socket is the caller's still, for memory that cannot be mapped.
        """
        self.disconnect()
        self._memory = PeerMemory(memory, 0, RING_MEMORY, True)
        cdef size_t at = self._memory.address
        cdef mdl_lane *lanes = <mdl_lane *> at
        cdef uint8_t *data = <uint8_t *> (at + MDL_RING_PAGE)
        self._outward.lane, self._outward.data = &lanes[not first], data + (0 if first else MDL_RING_BYTES)
        self._inward.lane, self._inward.data = &lanes[first], data + (MDL_RING_BYTES if first else 0)
        self._outward.tail = self._outward.published = self._outward.head = 0
        self._inward.head = self._inward.published = self._inward.tail = 0
        self._fd, self.connected, self._ending, self._wrong = fd, True, False, NOTHING
        self._stuck_since = self._look_at = self._wake_at = 0
        self._received_before = ~<uint64_t> 0
        self._told = not self.port.lit
        self._tell()

    def disconnect(self):
        """The cable is out; what it carried is lost."""
        self._hang_up(NOTHING)
        self._asleep = NULL
        if self._fd >= 0:
            self.closer.do(partial(os.close, self._fd))
            self._fd = -1
        self._memory = None

    def tend(self):
        """What `step` cannot do: close a connection that has ended, and look and tell for a port that is not stepped.

        Returns whether a peer is connected; if not, `why` has the reason.
        """
        if self.connected:
            self._tell()
            if self._memory.lost:
                self._hang_up(MEMORY)
            elif not self._ending:
                self._look()
            elif tsc() >= self._end_at:
                self._hang_up(NOTHING)
        if not self.connected and self._fd >= 0:
            self.why = _WHY[self._wrong]
            self.disconnect()
        self._asleep = NULL
        if self.connected and self.received == self._received_before:
            self._asleep = &self._inward.lane.asleep
            mdl_ring_doze(&self._inward)
        self._received_before = self.received
        return bool(self.connected)

    def rest(self, double seconds):
        """Sleep so long, at most 0.1 s, or until the peer has a frame for us after a pause. Whether it has.

        Not under the card's lock. A peer wakes us if no frame came between the last two calls of `tend`.
        """
        cdef uint32_t *asleep = self._asleep
        cdef long us = <long> (min(seconds, _REST_MOST) * 1e6) if seconds > 0 else 0
        cdef bint woken
        with nogil:
            woken = mdl_ring_sleep(asleep, us)
        return woken

    def close(self):
        """Unplug, and hang up."""
        self.disconnect()
        self.port.unplug()

    cdef void _hang_up(self, int wrong) noexcept nogil:
        # The socket is closed and the memory unmapped by `tend`, which has the GIL: until then nothing else gets their place.
        self.connected = self._peer_lit = False
        self._wrong = wrong

    cdef void _tell(self) noexcept nogil:
        """The peer sees our light."""
        if self._told != self.port.lit:
            self._told = self.port.lit
            mdl_ring_shine(&self._outward, self._told)

    cdef void _look(self) noexcept nogil:
        """Whether the peer is there still. If not, what it sent before is taken, as long as `PATIENCE_NS`."""
        cdef pollfd state
        state.fd, state.events, state.revents = self._fd, POLLIN | POLLRDHUP, 0
        self._look_at = tsc() + self._look_cycles
        if poll(&state, 1, 0) <= 0:
            return
        if state.revents == POLLIN:
            self._hang_up(SPEECH)
        elif mdl_ring_look(&self._inward) == MDL_RING_LIE:
            self._hang_up(INDEX)
        else:
            self._ending, self._peer_lit = True, False
            self._end_at = tsc() + self._end_cycles

    # ---- frames ---------------------------------------------------------------------------------------------

    cdef uint32_t step(self, Engine engine) noexcept nogil:
        cdef uint32_t done = 0
        if self.outward is None:
            return self._exchange()
        done += self.outward.carry(self._out, engine.port.now_ns, True)
        done += self._exchange()
        done += self.inward.carry(engine.port.rx_fifo, engine.port.now_ns, self.elastic)
        return done

    cdef inline uint32_t _exchange(self) noexcept nogil:
        cdef uint32_t done
        cdef int lit
        if self.connected and not self._ending and tsc() >= self._look_at:
            self._look()
        if not self.connected:
            mdl_fifo_clear(self._out)
            return 0
        if self._ending:
            mdl_fifo_clear(self._out)
            done = self._receive()
            if self._inward.head == self._inward.tail or tsc() >= self._end_at:
                self._hang_up(self._wrong)
            return done
        self._tell()
        lit = mdl_ring_light(&self._inward)
        if lit == MDL_RING_LIE:
            self._hang_up(LIGHT)
            return 0
        self._peer_lit = lit
        if mdl_ring_look(&self._inward) == MDL_RING_LIE:
            self._hang_up(INDEX)
            return 0
        done = self._receive()
        if self.connected:
            done += self._send()
        return done

    cdef uint32_t _send(self) noexcept nogil:
        """To the peer: what its ring has no room for stays where it is."""
        cdef mdl_fifo *fifo = self._out
        cdef mdl_frame *frame = mdl_peek(fifo)
        cdef uint32_t n = 0
        cdef int put = 1
        if frame == NULL:
            return 0
        while frame != NULL and n < STEP_FRAMES:
            put = mdl_ring_put(
                &self._outward, frame.data, frame.len, MDL_RING_BAD_CRC if frame.flags & BAD_CRC else 0
            )
            if put <= 0:
                break
            mdl_pop(fifo, frame)
            n += 1
            frame = mdl_peek(fifo)
        if unlikely(put == MDL_RING_LIE):
            self._hang_up(INDEX)
            return 0
        if n:
            self._stuck_since = 0
            self.sent += n
            mdl_ring_publish(&self._outward)
            # A peer that says it sleeps all the time costs us a system call a millisecond, not one a step.
            if unlikely(mdl_ring_asleep(&self._outward)) and tsc() >= self._wake_at:
                self._wake_at = tsc() + self._look_cycles
                mdl_ring_wake(&self._outward)
        elif self._stuck_since == 0:
            self._stuck_since = self.port.port.now_ns
        elif self.port.port.now_ns > self._stuck_since + PATIENCE_NS:
            while frame != NULL and n < STEP_FRAMES:
                mdl_pop(fifo, frame)
                n += 1
                frame = mdl_peek(fifo)
            self.lost += n
        return n

    cdef uint32_t _receive(self) noexcept nogil:
        """Frames that are here, as long as there is room for them. A peer that put nonsense there is cut off."""
        cdef mdl_fifo *fifo = self._in
        cdef mdl_frame *frame
        cdef const uint8_t *data
        cdef uint32_t done = 0, flags = 0, most = STEP_FRAMES if self._waits else BUDGET
        cdef int32_t size = 0
        mdl_fifo_refresh(fifo)
        while done < most:
            size = mdl_ring_peek(&self._inward, &data, &flags)
            if size <= 0:
                break
            frame = mdl_reserve(fifo, size)
            if frame != NULL:
                mdl_copy(frame.data, data, size)
                mdl_label(frame, size, BAD_CRC if flags else 0, 0, self.port.port.now_ns)
                mdl_commit(fifo, size)
            elif self._waits:
                break
            else:
                mdl_lose(fifo, data, size, BAD_CRC if flags else 0)
            mdl_ring_pop(&self._inward, size)
            done += 1
        self.received += done
        mdl_ring_release(&self._inward)
        if size == MDL_RING_LIE:
            self._hang_up(FRAME)
        return done
