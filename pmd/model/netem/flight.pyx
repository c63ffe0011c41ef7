# SPDX-License-Identifier: BSD-3-Clause
"""Frames in flight in one direction of a wire, with the impairments of a `Netem`.

A wire with impairments has one for each direction, between the FIFO of the sender's frames and that of the receiver. The
fate of a frame depends on the seed and its number only, not on when `carry` runs. Times are those of events: a frame that
landed before another one was sent counts as landed then, however late `carry` is called.
"""

from libc.math cimport M_PI, cos, log, sqrt
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy

from dataplane.pmd.model.state.fifo cimport (
    BAD_CRC,
    mdl_commit,
    mdl_fifo_free,
    mdl_fifo_new,
    mdl_fifo_refresh,
    mdl_label,
    mdl_lose,
    mdl_peek,
    mdl_pop,
    mdl_reserve,
)

from dataplane.errors import ConfigError
from dataplane.pmd.model.netem.conditions import Netem

NEVER = <uint64_t> -1

cdef enum:
    TX_BUFFER = 160 << 10  # what the chip holds of frames that the wire has not taken yet
    STEP_FRAMES = 128  # frames a step, each once when it is taken and once when it lands
    OVERHEAD = 24  # FCS, preamble, start of frame, gap
    ROOM = 256  # frames, at first
    SIZE_MOST = 256 << 20  # bytes in flight
    # The random draws for a frame.
    LOSS = 0
    DUPLICATE = 1
    REORDER = 2
    CORRUPT = 3
    BIT = 4
    JITTER = 5
    ANGLE = 6
    DRAWS = 8

cdef double UNIT = 1.0 / 9007199254740992.0  # 2^-53


cdef inline uint64_t _mixed(uint64_t z) noexcept nogil:
    """The output function of SplitMix64 (Steele, Lea, Flood 2014): 64 bits that look like random ones."""
    z = (z ^ z >> 30) * <uint64_t> 0xBF58476D1CE4E5B9
    z = (z ^ z >> 27) * <uint64_t> 0x94D049BB133111EB
    return z ^ z >> 31


cdef uint64_t _below(double probability) noexcept nogil:
    """The bound of a 64-bit random number for that probability: the event happens below it."""
    return ~<uint64_t> 0 if probability >= 1.0 else <uint64_t> (probability * 18446744073709551616.0)


cdef inline bint _before(const Flying *one, const Flying *other) noexcept nogil:
    return one.due < other.due or one.due == other.due and one.order < other.order


cdef class Flight:
    """One direction of a wire. netem: what happens to frames, a `Netem`. way: 0 or 1, directions draw differently.

    Counters, in frames: sent (taken from the sender), delivered, lost (loss), overflowed (limit), corrupted, duplicated,
    reordered (went ahead by reorder), late (landed after one that was sent later: RFC 4737), in_flight.
    sent + duplicated = delivered + lost + overflowed + in_flight. Raises ConfigError.
    """

    def __cinit__(self, netem not None, int way=0):
        if not isinstance(netem, Netem):
            raise ConfigError(f"{netem!r} is no setting of a wire: expected a Netem")
        self.netem = netem
        self._loss, self._corrupt = _below(netem.loss), _below(netem.corrupt)
        self._duplicate, self._reorder = _below(netem.duplicate), _below(netem.reorder)
        self._delay, self._jitter, self._limit = netem.delay_ns, netem.jitter_ns, netem.limit
        self._normal = netem.distribution == "normal"
        self._ns_per_byte = 8e9 / netem.rate if netem.rate is not None else 0.0
        self._key = _mixed(<uint64_t> netem.seed * 2 + (way & 1) + 1)
        self.next_due = NEVER
        self.entry = mdl_fifo_new(TX_BUFFER)
        if self.entry == NULL:
            raise MemoryError("no memory for a wire")

    def __dealloc__(self):
        cdef uint32_t n
        for n in range(self._count):
            free(self._heap[n])
        free(self._heap)
        mdl_fifo_free(self.entry)

    @property
    def in_flight(self):
        """Frames that have been taken from the sender and have not landed."""
        return self._count

    @property
    def counters(self):
        """All counters by name."""
        names = ("sent", "delivered", "lost", "overflowed", "in_flight", "corrupted", "duplicated", "reordered", "late")
        return {name: getattr(self, name) for name in names}

    # ---- a step ---------------------------------------------------------------------------------------------

    cdef uint32_t carry(self, mdl_fifo *sink, uint64_t now, bint elastic) noexcept nogil:
        cdef mdl_frame *frame = mdl_peek(self.entry)
        cdef uint64_t start = self._start(frame), top = NEVER
        cdef uint32_t done = 0
        mdl_fifo_refresh(sink)
        while True:
            top = self._heap[0].due if self._count else NEVER
            if done == STEP_FRAMES:
                break
            if top <= now and top <= start:
                if not self._land(sink, elastic):
                    self.next_due = NEVER  # it lands when the receiver has room, which no clock decides
                    return done
            elif start <= now:
                if not self._take(frame, start):
                    start = NEVER  # when something has landed
                    break
                mdl_pop(self.entry, frame)
                frame = mdl_peek(self.entry)
                start = self._start(frame)
            else:
                break
            done += 1
        self.next_due = top if top < start else start
        return done

    cdef uint64_t _start(self, const mdl_frame *frame) noexcept nogil:
        """When that frame leaves the sender. Without a limit it waits there until the line is free."""
        if frame == NULL:
            return NEVER
        return frame.ready if self._limit or frame.ready > self._free_at else self._free_at

    cdef bint _take(self, const mdl_frame *frame, uint64_t at) noexcept nogil:
        """Decide what becomes of a frame. False: it has to wait, so much is in flight."""
        cdef uint64_t order = self.sent * 2
        if self._size > SIZE_MOST and not self._limit:
            return False
        self.sent += 1
        if self._loss and self._draw(order, LOSS) < self._loss:
            self.lost += 1
            return True
        self._launch(frame, order, at)
        if self._duplicate and self._draw(order, DUPLICATE) < self._duplicate:
            self.duplicated += 1
            self._launch(frame, order + 1, at)
        return True

    cdef void _launch(self, const mdl_frame *frame, uint64_t order, uint64_t at) noexcept nogil:
        """Put a frame on the line, unless too many are there already."""
        cdef Flying *flying = NULL
        cdef double ns
        if not (self._limit and self._count >= self._limit) and self._size <= SIZE_MOST:
            flying = <Flying *> malloc(sizeof(Flying) + frame.len)
        if flying == NULL:
            self.overflowed += 1
            return
        # The line is busy with what it was given before, then with this. 67.2 ns are not 67: the rest is carried on.
        if at > self._free_at:
            self._free_at, self._rest = at, 0.0
        ns = (frame.len + OVERHEAD) * self._ns_per_byte + self._rest
        self._free_at += <uint64_t> ns
        self._rest = ns - <uint64_t> ns
        flying.order, flying.len, flying.flags = order, frame.len, frame.flags
        flying.due = self._free_at
        memcpy(&flying[1], frame.data, frame.len)
        if self._reorder and self._draw(order, REORDER) < self._reorder:
            self.reordered += 1
        else:
            flying.due += self._delay_of(order)
        if self._corrupt and flying.len and self._draw(order, CORRUPT) < self._corrupt:
            self._spoil(flying)
        if not self._push(flying):
            free(flying)
            self.overflowed += 1

    cdef void _spoil(self, Flying *flying) noexcept nogil:
        """Flip a bit. The FCS is made already, and so it is wrong."""
        cdef uint64_t bit = self._draw(flying.order, BIT) % (<uint64_t> flying.len * 8)
        (<uint8_t *> &flying[1])[bit >> 3] ^= 1 << (bit & 7)
        flying.flags |= BAD_CRC
        self.corrupted += 1

    cdef uint64_t _delay_of(self, uint64_t order) noexcept nogil:
        cdef double radius, ns
        if not self._jitter:
            return self._delay
        if not self._normal:
            return self._delay - self._jitter + self._draw(order, JITTER) % (2 * self._jitter + 1)
        # Box and Muller's way to a normal distribution. The first draw must not be 0, whose logarithm there is not.
        radius = sqrt(-2.0 * log(((self._draw(order, JITTER) >> 11) + 1) * UNIT))
        ns = self._delay + self._jitter * radius * cos(2.0 * M_PI * (self._draw(order, ANGLE) >> 11) * UNIT)
        return <uint64_t> ns if ns > 0.0 else 0

    cdef bint _land(self, mdl_fifo *sink, bint elastic) noexcept nogil:
        """The first frame is there. False: there is no room for it, and it waits."""
        cdef Flying *flying = self._heap[0]
        cdef mdl_frame *frame = mdl_reserve(sink, flying.len)
        if frame != NULL:
            memcpy(frame.data, &flying[1], flying.len)
            mdl_label(frame, flying.len, flying.flags, 0, flying.due)
            mdl_commit(sink, flying.len)
        elif elastic:
            return False
        else:
            mdl_lose(sink, <uint8_t *> &flying[1], flying.len, flying.flags)
        self.delivered += 1
        if flying.order > self._latest:
            self._latest = flying.order
        elif not flying.order & 1 and flying.order < self._latest:
            self.late += flying.order + 1 != self._latest  # its own copy is none that was sent later
        self._pop()
        return True

    cdef uint64_t _draw(self, uint64_t order, uint32_t what) noexcept nogil:
        """64 random bits, always the same ones for the same thing."""
        return _mixed(self._key + (order * DRAWS + what) * <uint64_t> 0x9E3779B97F4A7C15)

    # ---- a binary heap ----------------------------------------------------------------------------------------

    cdef bint _push(self, Flying *flying) noexcept nogil:
        """False: no memory."""
        cdef uint32_t at = self._count, parent, room
        cdef Flying **grown
        if at == self._room:
            room = self._room * 2 if self._room else ROOM
            grown = <Flying **> realloc(self._heap, room * sizeof(Flying *))
            if grown == NULL:
                return False
            self._heap, self._room = grown, room
        while at:
            parent = (at - 1) >> 1
            if not _before(flying, self._heap[parent]):
                break
            self._heap[at] = self._heap[parent]
            at = parent
        self._heap[at] = flying
        self._count += 1
        self._size += sizeof(Flying) + flying.len
        return True

    cdef void _pop(self) noexcept nogil:
        cdef uint32_t at = 0, child
        cdef Flying *last
        self._size -= sizeof(Flying) + self._heap[0].len
        free(self._heap[0])
        self._count -= 1
        last = self._heap[self._count]
        while True:
            child = 2 * at + 1
            if child >= self._count:
                break
            if child + 1 < self._count and _before(self._heap[child + 1], self._heap[child]):
                child += 1
            if not _before(self._heap[child], last):
                break
            self._heap[at] = self._heap[child]
            at = child
        self._heap[at] = last
