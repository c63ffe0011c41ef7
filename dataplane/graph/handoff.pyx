# SPDX-License-Identifier: BSD-3-Clause
"""Hand-off: an edge between two lcores, which is a ring with one producer and one consumer.

`Pipeline(..., lcores=...)` makes one of each edge whose two apps are on different lcores. HANDOFF_SLOTS is the size of its
ring unless `handoff_slots` gives another.
"""

from libc.stdint cimport uintptr_t
from libc.stdlib cimport free, malloc

from dataplane.app cimport drop, emit_bytes
from dataplane.clock cimport tsc_hz
from dataplane.limits cimport BURST_MAX_PACKETS
from dataplane.machine cimport likely, load_acquire, pause, store_release, tsc, unlikely
from dataplane.mbuf cimport bytes_of
from dataplane.mempool cimport free_packets
from dataplane.ring cimport _copy_in, _copy_out, ring_memory

from dataplane.errors import ConfigError, GraphError

cdef extern from "<sched.h>" nogil:
    int sched_yield()

HANDOFF_SLOTS = 1024  # of a ring: each packet takes one, and each burst one more

cdef enum:
    COUNT_BITS = 16  # of a burst's word: packets below, bytes above
    COUNT_MASK = (1 << COUNT_BITS) - 1
    SPINS = 64       # before the core is offered to others: to the receiver, perhaps

cdef double STOP_SECONDS = 0.5    # that a sender waits for a receiver that makes no progress, once it is to stop
cdef double ALONE_SECONDS = 1e-4  # the same if it cannot be stopped


cdef class Channel:
    """The ring between two lcores. slots: a power of two from 2 to 2**24; n packets of one burst take n + 1 of them.

    Raises ConfigError for other numbers.
    """

    def __cinit__(self, slots=HANDOFF_SLOTS):
        self.ring = ring_memory(slots, True)

    def __dealloc__(self):
        cdef mbuf *pkts[BURST_MAX_PACKETS]
        cdef uint64_t total
        cdef uint16_t n
        if self.ring == NULL:
            return
        while True:
            n = take(self.ring, self.ring.prod_tail, pkts, BURST_MAX_PACKETS, &total)
            if n == 0:
                break
            free_packets(pkts, n)
        free(self.ring)

    @property
    def slots(self):
        """Size of the ring."""
        return self.ring.slots

    @property
    def held(self):
        """Packets in the ring."""
        cdef uint64_t sent = self.sent, taken = self.taken  # another thread may move packets between the two readings
        return sent - taken if sent > taken else 0


cdef inline uint16_t take(ring_t *ring, uint32_t tail, mbuf **pkts, uint32_t most, uint64_t *total) noexcept nogil:
    """Take out the first burst, and those behind it that fit into `most` packets with it. tail: where the sender has got to.

    Returns how many packets they are; `total` is set to their bytes.
    """
    cdef uint32_t head = ring.cons_tail
    cdef uint32_t n = 0, more
    cdef uintptr_t word
    total[0] = 0
    while head != tail:
        word = <uintptr_t> ring.objs[head & ring.mask]
        more = word & COUNT_MASK
        if unlikely(n and n + more > most):
            break
        _copy_out(ring, head + 1, <void **> (pkts + n), more)
        total[0] += word >> COUNT_BITS
        head += more + 1
        n += more
    store_release(&ring.cons_tail, head)
    return <uint16_t> n


cdef inline void put(Channel self, mbuf **pkts, uint16_t n, uint64_t total) noexcept nogil:
    """Put in a burst of `total` bytes, for which there is room."""
    cdef ring_t *ring = self.ring
    cdef uint32_t tail = ring.prod_tail
    self.sent += n  # before the other end can have taken them
    ring.objs[tail & ring.mask] = <void *> <uintptr_t> (total << COUNT_BITS | n)
    _copy_in(ring, tail + 1, <void **> pkts, n)
    store_release(&ring.prod_tail, tail + 1 + n)


cdef class HandoffTx(App):
    """The sending end; `rx` is the other one. slots: of its ring; burst: packets that the other end takes at once, if it can.

    Raises ConfigError.
    """

    edges = ()
    drops = ("full", "stopped", "replaced")

    def __init__(self, slots=HANDOFF_SLOTS, *, uint16_t burst=32):
        if self.channel is not None:
            raise ConfigError(f"{self!r} is made already: make another HandoffTx")
        channel = Channel(slots)
        self.rx = HandoffRx(channel, burst)
        self.channel = channel

    cdef void push(self, mbuf **pkts, uint16_t n) noexcept nogil:
        cdef ring_t *ring = self.channel.ring
        cdef uint64_t total = self.incoming
        self.incoming = 0
        if unlikely(ring.slots - (ring.prod_tail - self.seen) <= n):
            self.seen = load_acquire(&ring.cons_tail)
            if ring.slots - (ring.prod_tail - self.seen) <= n:
                self._full(pkts, n)
                return
        put(self.channel, pkts, n, total if likely(total != 0) else bytes_of(pkts, n))

    cdef uint16_t _put_some(self, mbuf **pkts, uint16_t n) noexcept nogil:
        """Put in as many as there is room for; returns how many."""
        cdef ring_t *ring = self.channel.ring
        cdef uint32_t room
        self.seen = load_acquire(&ring.cons_tail)
        room = ring.slots - (ring.prod_tail - self.seen)
        if room < 2:
            return 0
        n = <uint16_t> min(<uint32_t> n, room - 1)
        put(self.channel, pkts, n, bytes_of(pkts, n))
        return n

    cdef void _full(self, mbuf **pkts, uint16_t n) noexcept nogil:
        cdef uint64_t since = tsc()
        cdef double patience
        cdef uint32_t spins = 0
        cdef uint16_t taken
        while not self.channel.gone:
            taken = self._put_some(pkts, n)
            pkts += taken
            n -= taken
            if n == 0:
                return
            if not self.waits:
                drop(self, DROP_FULL, pkts, n)
                return
            if self.rx.poller == self.poller:
                self.rx.poll()  # this thread polls the receiving end, too: it would wait for itself
                continue
            if self._poll_later() or taken:
                since = tsc()
            elif self.halt == NULL or self.halt[0]:
                patience = ALONE_SECONDS if self.halt == NULL else STOP_SECONDS
                if tsc() - since > <uint64_t> (patience * tsc_hz()):
                    break
            # There is another try after each pause: the receiver may need this core.
            spins += 1
            if spins < SPINS:
                pause()
            else:
                sched_yield()
        drop(self, DROP_STOPPED, pkts, n)

    cdef int follow(self, later) except -1:
        """Say what may be polled while it waits: receiving ends of the same plan."""
        cdef int i
        cdef tuple held = tuple(later)
        cdef void **array = <void **> malloc((len(held) + 1) * sizeof(void *))
        if array == NULL:
            raise MemoryError()
        for i in range(len(held)):
            array[i] = <void *> <HandoffRx?> held[i]
        array[len(held)] = NULL
        free(self.later)
        self.later, self._later = array, held
        return 0

    cdef uint32_t _poll_later(self) noexcept nogil:
        cdef uint32_t polled = 0
        cdef int i = 0
        if self.later == NULL:
            return 0
        while self.later[i] != NULL:
            if (<HandoffRx> self.later[i]).poller == self.poller:
                polled += (<HandoffRx> self.later[i]).poll()
            i += 1
        return polled

    def __dealloc__(self):
        free(self.later)

    cdef int check_ready(self) except -1:
        if self.channel is None:
            raise GraphError("this HandoffTx has no ring: it was made without __init__")
        return 0

    def be_waiting(self, bint waits):
        """Wait for room when the ring is full, or drop as "full". Raises GraphError while a thread polls it."""
        if self.poller:
            raise GraphError(f"{self!r} is polled by thread {self.polled_by}: stop that run first")
        self.waits = waits

    @property
    def held(self):
        """Packets in the ring."""
        return 0 if self.channel is None else self.channel.held

    def discard(self, reason):
        """Drop what is in the ring, for `reason`: one of `drops`. Returns how many packets it was.

        Raises GraphError while a thread polls one of its ends.
        """
        cdef mbuf *pkts[BURST_MAX_PACKETS]
        cdef unsigned int why = self.drops.index(reason)
        cdef uint64_t total
        cdef uint16_t n
        self.check_ready()
        if self.poller or self.rx.poller:
            raise GraphError(f"{self!r} is polled: stop that run first")
        dropped = 0
        while True:
            n = take(self.channel.ring, self.channel.ring.prod_tail, pkts, BURST_MAX_PACKETS, &total)
            if n == 0:
                return dropped
            self.channel.taken += n
            dropped += n
            drop(self, why, pkts, n)


cdef class HandoffRx(Source):
    """The receiving end. burst: small bursts that follow each other are taken as one, up to so many packets, 1 to 256."""

    def __init__(self, Channel channel not None, uint16_t burst=32):
        if self.channel is not None:
            raise ConfigError(f"{self!r} is made already: make another HandoffRx")
        if not 1 <= burst <= BURST_MAX_PACKETS:
            raise ConfigError(f"a burst of {burst}: must be 1 to {BURST_MAX_PACKETS}")
        self.burst = burst
        self.channel = channel

    cdef uint16_t poll(self) noexcept nogil:
        cdef mbuf *pkts[BURST_MAX_PACKETS]
        cdef ring_t *ring = self.channel.ring
        cdef uint64_t total
        cdef uint16_t n
        if ring.cons_tail == self.seen:
            self.seen = load_acquire(&ring.prod_tail)
            if ring.cons_tail == self.seen:
                if unlikely(load_acquire(&self.channel.closed)):
                    self.done = load_acquire(&ring.prod_tail) == ring.cons_tail
                return 0
        n = take(ring, self.seen, pkts, min(self.burst, <uint16_t> BURST_MAX_PACKETS), &total)
        self.channel.taken += n
        emit_bytes(self, 0, pkts, n, total)
        return n

    cdef int check_ready(self) except -1:
        if self.channel is None:
            raise GraphError("this HandoffRx has no ring: it was made without __init__")
        return 0
