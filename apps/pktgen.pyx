# SPDX-License-Identifier: BSD-3-Clause
"""PktGen: sends the frames that a scapy packet with sets in its fields describes, at a given rate."""

from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc

from dataplane.apps.stamper cimport Stamper
from dataplane.app cimport Source, emit
from dataplane.clock cimport tsc_hz
from dataplane.limits cimport BURST_MAX_PACKETS, FCS_BYTES, FRAME_MIN_WITH_FCS_BYTES
from dataplane.machine cimport tsc, unlikely
from dataplane.mbuf cimport mbuf
from dataplane.mempool cimport Mempool, alloc_bulk

from operator import index as operator_index

import numpy as np

from dataplane.apps.flows import Flows
from dataplane.apps.rate import LINE_RATE, packets_per_second
from dataplane.reports.balance import Pace
from dataplane.errors import ConfigError

cdef enum:
    GAPS = 4096            # gaps of a Poisson process, drawn at set-up
    POOL = 8192            # mbufs: the longest Tx ring, the caches, and some

cdef double BACKLOG_SECONDS = 0.1  # a longer stall is forgotten: catching up must not become a flood


cdef class PktGen(Source):
    """A source of generated frames.

    flows: a scapy packet, a list of packets, an expression as text, or a `Flows`.
    size: bytes on the wire with FCS; None: what the packet takes, at least 64.
    rate: "5 Mpps", "2 Gbps" (frames with FCS), "50%" (of `line_rate` bit/s, gaps and preambles included), packets per
        second, or None: as fast as the queue takes them.
    gaps: "even"; "poisson" (random, independent arrivals); "burst" (`burst` frames back to back, then silence).
    count: stop after this many frames. seconds: stop after the frames due in this time (0.1 s late at most). None: never.
    stamp: write a sequence number and the time into the last 16 bytes of the payload, for `Latency`.
    best_effort: a run is `ok` even if the rate was not reached. line_rate: bit/s that "%" is of. mempool: where the frames'
        mbufs come from, None: a pool of its own. seed: of what is random. form: how frames are written, see `Stamper`.
    Raises ConfigError for what cannot be generated.
    """
    edges = ("out",)

    cdef readonly Stamper stamper
    cdef readonly Mempool mempool
    cdef readonly object rate    # as given
    cdef readonly object pps     # packets per second, None: unpaced
    cdef readonly str gaps
    cdef readonly bint stamp
    cdef readonly bint best_effort
    cdef readonly uint64_t sent
    cdef readonly uint64_t skipped  # frames not sent because a stall was longer than 100 ms

    cdef uint64_t limit          # frames in all; 0: no limit
    cdef uint64_t lasting        # cycles; 0: no limit
    cdef uint64_t started        # TSC of the first poll
    cdef uint64_t looked         # TSC of the last poll, of a paced generator
    cdef uint64_t ended          # TSC of the first poll after `lasting`, 0: not yet
    cdef double gap              # cycles from frame to frame, on average; 0: unpaced
    cdef double due              # when the next frame is due, in cycles since `started`
    cdef double *random_gaps     # NULL: even
    cdef uint32_t at
    cdef bint whole              # a burst goes out whole once its first frame is due

    def __cinit__(self, *arguments, **keywords):
        self.random_gaps = NULL

    def __init__(self, flows, size=None, rate=None, gaps="even", count=None, seconds=None, stamp=False, *,
                 burst=32, line_rate=LINE_RATE, mempool=None, seed=0, form=None, best_effort=False):
        if self.stamper is not None:
            raise ConfigError(f"{self!r} is made already: make another PktGen")
        if isinstance(flows, Flows):
            if size is not None or bool(stamp) != flows.trailer:
                raise ConfigError("flows were made already: give size= and trailer=stamp to Flows, not to PktGen")
        else:
            flows = Flows(flows, size, shortest=FRAME_MIN_WITH_FCS_BYTES, seed=seed, trailer=bool(stamp))
        if gaps not in ("even", "poisson", "burst"):
            raise ConfigError(f'gaps={gaps!r}: give "even", "poisson" or "burst"')
        if not 1 <= burst <= BURST_MAX_PACKETS:
            raise ConfigError(f"burst={burst!r}: must be 1 to {BURST_MAX_PACKETS}")
        if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
            raise ConfigError(f"count={count!r}: give a number of frames, 1 or more, or None for no end")
        if seconds is not None and not (isinstance(seconds, (int, float)) and seconds > 0):
            raise ConfigError(f"seconds={seconds!r}: give a time above 0, or None for no end")
        if mempool is not None and not isinstance(mempool, Mempool):
            raise ConfigError(f"mempool={mempool!r}: expected a Mempool, or None for one of its own")
        self.rate = rate
        self.pps = packets_per_second(rate, flows.mean_length + FCS_BYTES, line_rate)
        self.gaps = gaps
        self.stamp = stamp
        self.best_effort = best_effort
        self.burst = burst
        self.whole = gaps == "burst"
        self.limit = count or 0
        self.lasting = <uint64_t> (seconds * tsc_hz()) if seconds else 0
        self.gap = tsc_hz() / <double> self.pps if self.pps else 0.0
        if gaps == "poisson" and self.pps:
            self._draw(seed)
        cdef Stamper stamper = Stamper(flows, form)
        room = -(-max(flows.program.longest, 2048) // 64) * 64
        if mempool is None:
            mempool = Mempool(POOL, data_room=room, name="pktgen")
        elif mempool.data_room < -(-flows.program.longest // 64) * 64:
            raise ConfigError(
                f"{flows.program.longest} bytes do not fit the mempool's data room of {mempool.data_room}: "
                f"give a mempool with data_room={room}"
            )
        self.mempool, self.stamper = mempool, stamper

    cdef int check_ready(self) except -1:
        if self.stamper is None:
            raise ConfigError(f"a {type(self).__name__} without flows: call super().__init__ in a subclass of PktGen")
        return 0

    def __dealloc__(self):
        free(self.random_gaps)

    def start(self):
        """Count and time from here on."""
        self.sent = 0
        self.skipped = 0
        self.started = self.looked = self.ended = 0
        self.due = 0
        self.done = False

    def _draw(self, seed):
        """Exponential gaps whose mean is exactly right, in random order."""
        free(self.random_gaps)
        self.random_gaps = NULL
        drawn = np.random.default_rng(seed).exponential(size=GAPS)
        drawn *= self.gap / drawn.mean()
        self.random_gaps = <double *> malloc(GAPS * sizeof(double))
        if self.random_gaps == NULL:
            raise MemoryError("no memory for random gaps")
        for index in range(GAPS):
            self.random_gaps[<uint32_t> index] = drawn[index]

    cdef uint16_t poll(self) noexcept nogil:
        cdef mbuf *pkts[BURST_MAX_PACKETS]
        cdef uint16_t n = min(self.burst, <uint16_t> BURST_MAX_PACKETS)
        cdef uint64_t now = tsc(), since
        if unlikely(self.started == 0):
            self.started = now
        since = now - self.started
        if self.limit:
            n = <uint16_t> min(<uint64_t> n, self.limit - self.sent)
        if unlikely(self.lasting and since >= self.lasting):
            # Send the frames that were due before the end, however late this poll comes, but not for ever.
            since = self.lasting
            if self.ended == 0:
                self.ended = now
            if self.gap == 0 or self.due >= <double> since:
                n = 0
            elif now - self.ended > <uint64_t> (BACKLOG_SECONDS * tsc_hz()):
                self.skipped += <uint64_t> ((<double> since - self.due) // self.gap) + 1
                self.due = <double> since
                n = 0
        if unlikely(self.done or n == 0):
            self.done = True
            return 0
        if self.gap > 0:
            self.looked = now
            n = self._due(n, <double> since)
            if n == 0:
                return 0
        if unlikely(alloc_bulk(self.mempool.pool, pkts, n)):
            return 0  # all are on their way; the pool counts it
        self.stamper.write(pkts, n, self.sent, now)
        if self.gap > 0:
            self._advance(n)
        self.sent += n
        emit(self, 0, pkts, n)
        return n

    cdef uint16_t _due(self, uint16_t most, double now) noexcept nogil:
        """How many of the next `most` frames are due by `now`."""
        cdef double late = now - self.due, forget
        cdef uint16_t n = 0
        cdef uint32_t at = self.at
        if late < 0:
            return 0
        if unlikely(late > BACKLOG_SECONDS * tsc_hz()):
            forget = late // self.gap
            self.skipped += <uint64_t> forget
            self.due += forget * self.gap
            late -= forget * self.gap
        if self.random_gaps == NULL:
            if self.whole or late >= self.gap * most:
                return most
            return <uint16_t> (late / self.gap) + 1
        while n < most and late >= 0:
            late -= self.random_gaps[at]
            at = (at + 1) % GAPS
            n += 1
        return n

    cdef void _advance(self, uint16_t n) noexcept nogil:
        """The next `n` frames are sent."""
        if self.random_gaps == NULL:
            self.due += self.gap * n
            return
        for _ in range(n):
            self.due += self.random_gaps[self.at]
            self.at = (self.at + 1) % GAPS

    def gap_cycles(self, index):
        """TSC cycles (float) from frame `index` to the next, as planned; 0.0 when unpaced."""
        return self.random_gaps[<uint32_t> (operator_index(index) % GAPS)] if self.random_gaps != NULL else self.gap

    @property
    def pace(self):
        """The rate that was asked for and what became of it since the run began (`Pace`); None: unpaced, or not polled yet."""
        if self.gap == 0 or self.started == 0:
            return None
        elapsed = max(<double> (self.looked - self.started), self.due)
        late = elapsed - self.due + self.skipped * self.gap
        return Pace(
            asked=self.pps,
            reached=self.sent * tsc_hz() / elapsed if elapsed else self.pps,
            seconds=elapsed / tsc_hz(),
            late=late / tsc_hz(),
            skipped=self.skipped,
            best_effort=self.best_effort,
        )

    @property
    def flows(self):
        """The Flows that are sent."""
        return None if self.stamper is None else self.stamper.flows

    def __repr__(self):
        how = "flat out" if self.pps is None else f"{self.pps:,.0f} pps {self.gaps}"
        return f"PktGen({self.flows!r}, {how})"
