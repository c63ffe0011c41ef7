# SPDX-License-Identifier: BSD-3-Clause
"""A wire whose other end is a port of the model in another process: frames over a connected SOCK_SEQPACKET socket.

A message is four bytes, kind, value and version, and after those of kind FRAME the frame without its FCS. The first
message each way is a STATE, and another follows whenever the sender's light goes on or off.
"""

import os

from libc.errno cimport EAGAIN, EINTR, ENOBUFS, ENOMEM, errno
from libc.stdint cimport uint32_t, uint64_t, uint8_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from dataplane.clock cimport tsc_hz
from dataplane.machine cimport tsc

from dataplane.errors import ConfigError

from dataplane.pmd.model.engine cimport Engine, Wire
from dataplane.pmd.model.model cimport (
    BAD_CRC,
    mdl_commit,
    mdl_fifo,
    mdl_fifo_clear,
    mdl_fifo_free,
    mdl_fifo_new,
    mdl_fifo_refresh,
    mdl_frame,
    mdl_label,
    mdl_peek,
    mdl_pop,
    mdl_reserve,
)

cdef extern from "<sys/socket.h>" nogil:
    struct iovec:
        void *iov_base
        size_t iov_len

    struct msghdr:
        iovec *msg_iov
        size_t msg_iovlen
        int msg_flags

    struct mmsghdr:
        msghdr msg_hdr
        unsigned int msg_len

    enum:
        MSG_DONTWAIT, MSG_NOSIGNAL, MSG_TRUNC

    int sendmmsg(int fd, mmsghdr *messages, unsigned int n, int flags)
    int recvmmsg(int fd, mmsghdr *messages, unsigned int n, int flags, void *timeout)
    ssize_t send(int fd, const void *data, size_t size, int flags)

cdef enum:
    TX_BUFFER = 160 << 10
    BATCH = 32  # messages a system call
    FRAME_MIN = 14  # shorter than a header is no frame
    FRAME_MAX = 15868
    ROOM = 16 << 10  # for a message that arrives
    HEADER = 4
    STATE = 0
    FRAME = 1
    VERSION = 1
    PATIENCE_NS = 1_000_000_000  # for a peer that takes nothing, until frames to it are lost

_IDLE_US = 2  # how long an empty socket is left alone: a system call costs more than a burst

cdef packed struct Header:
    uint8_t kind
    uint8_t value  # of a frame: 1 if its FCS is wrong; of a state: 1 if the light is on
    uint8_t version
    uint8_t zero


# Where a fifo is read, so that frames can be put back into it.
cdef struct Mark:
    uint32_t rpos
    uint64_t out


cdef struct Batch:
    mmsghdr[BATCH] message
    iovec[2 * BATCH] piece
    Header[BATCH] header


cdef class PeerWire(Wire):
    """Plugged into `port`. Without a connection, or while the peer's light is off, its link is down.

    `connect` gives it a socket. While the peer takes no frames the port waits, as long as `PATIENCE_NS`; then frames are
    lost until it takes some. The caller of every method holds the card's lock. Raises ConfigError if the port has a wire.
    """

    cdef readonly Engine port
    cdef readonly bint connected
    cdef readonly str why  # the peer was cut off, None: it went by itself
    cdef readonly uint64_t sent, received, lost
    cdef int _fd
    cdef int _wrong
    cdef bint _peer_lit, _told, _greeted
    cdef uint64_t _poll_at, _idle_cycles, _stuck_since
    cdef mdl_fifo *_out
    cdef Batch *_send_batch
    cdef Batch *_receive_batch
    cdef uint8_t *_room
    cdef uint32_t _next, _got  # of what was received: not in the port's packet buffer yet

    def __cinit__(self, Engine port not None):
        self._fd = -1
        if port.wire is not None:
            raise ConfigError(f"{port.name} has a wire already: unplug it first")
        self.port = port
        self._idle_cycles = <uint64_t> (tsc_hz() * _IDLE_US / 1e6)
        self._out = mdl_fifo_new(TX_BUFFER)
        self._send_batch, self._receive_batch = <Batch *> malloc(sizeof(Batch)), <Batch *> malloc(sizeof(Batch))
        self._room = <uint8_t *> malloc(BATCH * ROOM)
        if self._out == NULL or self._send_batch == NULL or self._receive_batch == NULL or self._room == NULL:
            raise MemoryError("no memory for a wire")
        self._lay_out(self._send_batch, NULL)
        self._lay_out(self._receive_batch, self._room)
        self.live = True
        port.plug(self, self._out, True, True, &self._peer_lit)

    cdef void _lay_out(self, Batch *batch, uint8_t *room) noexcept:
        cdef int n
        memset(batch, 0, sizeof(Batch))
        for n in range(BATCH):
            batch.header[n].version = VERSION
            batch.message[n].msg_hdr.msg_iov, batch.message[n].msg_hdr.msg_iovlen = &batch.piece[2 * n], 2
            batch.piece[2 * n].iov_base, batch.piece[2 * n].iov_len = &batch.header[n], HEADER
            if room != NULL:
                batch.piece[2 * n + 1].iov_base, batch.piece[2 * n + 1].iov_len = room + n * ROOM, ROOM

    def __dealloc__(self):
        if self._fd >= 0 and self._out != NULL:  # without one nothing was connected, and 0 is a descriptor too
            os.close(self._fd)
        mdl_fifo_free(self._out)
        free(self._send_batch)
        free(self._receive_batch)
        free(self._room)

    # ---- the connection -------------------------------------------------------------------------------------

    def connect(self, int fd):
        """From now on the peer is at the other end of this connected socket, which is the wire's to close."""
        self.disconnect()
        self._fd, self.connected, self._greeted, self._wrong = fd, True, False, 0
        self._told = not self.port.lit
        self._stuck_since = self._poll_at = 0
        self._tell()

    def disconnect(self):
        """The cable is out; what it carried is lost."""
        self._hang_up(0)
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._next = self._got = 0

    def tend(self):
        """What `pump` cannot do: close a connection that has ended, and say that our light is off on a port that nobody steps.

        Returns whether there is a connection; if there is none any more, `why` says what was wrong with it.
        """
        if self.connected:
            self._tell()
        if not self.connected and self._fd >= 0:
            self.why = (None, "what it sent is no frame", "it is no wire of this version")[self._wrong]
            self.disconnect()
        return bool(self.connected)

    def close(self):
        """Unplug, and hang up."""
        self.disconnect()
        self.port.unplug()

    cdef void _hang_up(self, int wrong) noexcept nogil:
        # The descriptor is closed by who has the GIL: until then nothing else can get its number.
        self.connected = self._peer_lit = False
        self._wrong = wrong

    cdef void _tell(self) noexcept nogil:
        """The peer hears of our light once it has changed; while its socket is full, later."""
        cdef Header state
        if self._told == self.port.lit:
            return
        state.kind, state.value, state.version, state.zero = STATE, self.port.lit, VERSION, 0
        if send(self._fd, &state, HEADER, MSG_DONTWAIT | MSG_NOSIGNAL) == HEADER:
            self._told = self.port.lit
        elif errno != EAGAIN and errno != EINTR:
            self._hang_up(0)

    # ---- frames ---------------------------------------------------------------------------------------------

    cdef uint32_t pump(self, Engine engine) noexcept nogil:
        cdef uint32_t done
        if not self.connected:
            mdl_fifo_clear(self._out)
            return 0
        self._tell()
        done = self._receive()
        if self.connected:
            done += self._send()
        return done

    cdef uint32_t _send(self) noexcept nogil:
        """To the peer: what it does not take goes back to where it was."""
        cdef mdl_fifo *fifo = self._out
        cdef mdl_frame *frame = mdl_peek(fifo)
        cdef Batch *batch = self._send_batch
        cdef Mark[BATCH] marks
        cdef uint32_t n = 0
        cdef int taken
        while frame != NULL and n < BATCH:
            # The one who fills this fifo is this thread: what is popped stays as it is until we return.
            marks[n].rpos, marks[n].out = fifo.rpos, fifo.out
            batch.header[n].kind, batch.header[n].value = FRAME, frame.flags & BAD_CRC
            batch.piece[2 * n + 1].iov_base, batch.piece[2 * n + 1].iov_len = frame.data, frame.len
            mdl_pop(fifo, frame)
            n += 1
            frame = mdl_peek(fifo)
        if n == 0:
            return 0
        taken = sendmmsg(self._fd, batch.message, n, MSG_DONTWAIT | MSG_NOSIGNAL)
        if taken > 0:
            self._stuck_since = 0
            self.sent += <uint32_t> taken
        elif errno not in (EAGAIN, EINTR, ENOBUFS, ENOMEM):
            self._hang_up(0)
            return 0
        elif self._stuck_since == 0:
            taken, self._stuck_since = 0, self.port.port.now_ns
        elif self.port.port.now_ns > self._stuck_since + PATIENCE_NS:
            taken = n
            self.lost += n
        else:
            taken = 0
        if <uint32_t> taken < n:
            fifo.rpos, fifo.out = marks[taken].rpos, marks[taken].out
        return <uint32_t> taken

    cdef uint32_t _receive(self) noexcept nogil:
        cdef uint32_t done = self._deliver()
        cdef int got
        if self._next < self._got or tsc() < self._poll_at:
            return done  # the packet buffer is full: the peer waits
        got = recvmmsg(self._fd, self._receive_batch.message, BATCH, MSG_DONTWAIT, NULL)
        if got <= 0:
            if errno == EAGAIN:
                self._poll_at = tsc() + self._idle_cycles
            elif errno != EINTR:
                self._hang_up(0)
            return done
        self._next, self._got = 0, <uint32_t> got
        return done + self._deliver()

    cdef uint32_t _deliver(self) noexcept nogil:
        """Messages that are here, as long as there is room for their frames. Whoever sends nonsense is cut off."""
        cdef mdl_fifo *fifo = self.port.port.rx_fifo
        cdef mdl_frame *frame
        cdef mmsghdr *message
        cdef Header *header
        cdef uint32_t done = 0, size
        if self._next == self._got:
            return 0
        mdl_fifo_refresh(fifo)
        while self._next < self._got:
            message, header = &self._receive_batch.message[self._next], &self._receive_batch.header[self._next]
            if message.msg_len == 0:
                self._hang_up(0)  # there are no empty messages: it is the end
                break
            if message.msg_len < HEADER or header.version != VERSION or header.kind != STATE and not self._greeted:
                self._hang_up(2)
                break
            size = message.msg_len - HEADER
            if header.kind == STATE and size == 0:
                self._greeted, self._peer_lit = True, header.value & 1
            elif header.kind != FRAME or not FRAME_MIN <= size <= FRAME_MAX or message.msg_hdr.msg_flags & MSG_TRUNC:
                self._hang_up(1)
                break
            else:
                frame = mdl_reserve(fifo, size)
                if frame == NULL:
                    break
                memcpy(frame.data, self._room + self._next * ROOM, size)
                mdl_label(frame, size, header.value & BAD_CRC, 0, self.port.port.now_ns)
                mdl_commit(fifo, size)
                self.received += 1
                done += 1
            self._next += 1
        return done
