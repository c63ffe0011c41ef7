# SPDX-License-Identifier: BSD-3-Clause
"""Latency: reads the stamps of ``PktGen(..., stamp=True)``: what arrived, what did not, in which order and after how long.

Sender and receiver must be on one machine, since the time is the CPU's time-stamp counter. Packets without a stamp are
counted as foreign; every packet is passed on.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from dataplane.apps.stamper cimport TRAILER, TRAILER_MAGIC
from dataplane.app cimport App, pass_on
from dataplane.clock cimport tsc_hz
from dataplane.machine cimport likely, tsc, unlikely
from dataplane.mbuf cimport copy_out, data, mbuf


cdef extern from *:
    """
    static inline uint32_t latency_be32(uint32_t v) { return __builtin_bswap32(v); }
    static inline uint64_t latency_be64(uint64_t v) { return __builtin_bswap64(v); }
    static inline unsigned latency_log2(uint64_t v) { return 63 - __builtin_clzll(v | 1); }
    """
    uint32_t be32 "latency_be32" (uint32_t v) noexcept nogil
    uint64_t be64 "latency_be64" (uint64_t v) noexcept nogil
    unsigned int log2 "latency_log2" (uint64_t v) noexcept nogil

cdef enum:
    WINDOW = 1 << 16  # sequence numbers back that a duplicate is recognised
    FINE = 6          # 2**FINE buckets to an octave of time: a bucket is at most 1.6 % wide
    BUCKETS = (64 - FINE + 1) << FINE


cdef class Latency(App):
    """Counts and times stamped packets, and passes everything on."""
    edges = ("out",)
    optional = ("out",)

    cdef readonly uint64_t received    # stamped packets, duplicates included
    cdef readonly uint64_t foreign     # packets without a stamp
    cdef readonly uint64_t reordered   # came after one that was sent later
    cdef readonly uint64_t duplicates
    cdef uint64_t next                 # highest sequence number so far, plus 1
    cdef uint64_t fewest
    cdef uint64_t most
    cdef double total                  # cycles
    cdef uint64_t *buckets
    cdef uint8_t *seen                 # of the last WINDOW sequence numbers

    def __cinit__(self):
        self.buckets = <uint64_t *> calloc(BUCKETS, sizeof(uint64_t))
        self.seen = <uint8_t *> calloc(WINDOW, 1)
        if self.buckets == NULL or self.seen == NULL:
            raise MemoryError("no memory for a histogram")
        self.fewest = <uint64_t> -1

    def __dealloc__(self):
        free(self.buckets)
        free(self.seen)

    def start(self):
        """Forget what was counted."""
        memset(self.buckets, 0, BUCKETS * sizeof(uint64_t))
        memset(self.seen, 0, WINDOW)
        self.received = self.foreign = self.reordered = self.duplicates = self.next = self.most = 0
        self.fewest = <uint64_t> -1
        self.total = 0

    cdef void push(self, mbuf **pkts, uint16_t n) noexcept nogil:
        cdef uint64_t now = tsc()
        cdef uint8_t trailer[16]
        cdef uint32_t words[2]
        cdef uint64_t sent
        cdef mbuf *m
        cdef uint16_t i
        for i in range(n):
            m = pkts[i]
            if unlikely(m.pkt_len < TRAILER):
                self.foreign += 1
                continue
            if likely(m.data_len == m.pkt_len):
                memcpy(trailer, data(m) + m.data_len - TRAILER, TRAILER)
            else:
                copy_out(m, m.pkt_len - TRAILER, trailer, TRAILER)
            memcpy(words, trailer, 8)
            memcpy(&sent, trailer + 8, 8)
            if unlikely(be32(words[0]) != TRAILER_MAGIC):
                self.foreign += 1
                continue
            self._count(be32(words[1]), now - be64(sent))
        pass_on(self, 0, pkts, n)

    cdef void _count(self, uint32_t sequence, uint64_t cycles) noexcept nogil:
        # 32 bits on the wire, 64 here: it is the nearest to the one expected.
        cdef int64_t ahead = <int32_t> (sequence - <uint32_t> self.next)
        cdef uint64_t full = self.next + ahead, skipped
        cdef unsigned int octave
        self.received += 1
        if likely(ahead >= 0):
            for skipped in range(self.next if ahead < WINDOW else full - WINDOW + 1, full):
                self.seen[skipped % WINDOW] = 0
            self.seen[full % WINDOW] = 1
            self.next = full + 1
        elif ahead >= -WINDOW and self.seen[full % WINDOW]:
            self.duplicates += 1
            return
        else:
            self.reordered += 1
            if ahead >= -WINDOW:
                self.seen[full % WINDOW] = 1
        if unlikely(<int64_t> cycles < 0):
            cycles = 0  # the counters of two cores may differ by a few cycles
        self.fewest = min(self.fewest, cycles)
        self.most = max(self.most, cycles)
        self.total += <double> cycles
        octave = log2(cycles)
        if octave < FINE:
            self.buckets[cycles] += 1
        else:
            self.buckets[(octave - FINE + 1 << FINE) + (cycles >> (octave - FINE) & ((1 << FINE) - 1))] += 1

    @property
    def lost(self):
        """Stamped packets missing below the highest sequence number that arrived."""
        return self.next - (self.received - self.duplicates)

    def quantile(self, double share):
        """The latency in ns that a `share` (0 to 1) of the packets stay within; None when none came. To 1.6 %."""
        cdef uint64_t total = self.received - self.duplicates, below = 0
        cdef unsigned int index, octave
        cdef double middle
        if total == 0:
            return None
        for index in range(BUCKETS):
            below += self.buckets[index]
            if below and below >= share * total:
                break
        octave = index >> FINE
        if octave == 0:
            middle = index
        else:
            middle = <double> ((1 << FINE) + (index & ((1 << FINE) - 1))) + 0.5
            middle *= 2.0 ** (octave - 1)
        middle = min(max(middle, <double> self.fewest), <double> self.most)
        return middle * (1e9 / tsc_hz())

    def summary(self, sent=None):
        """A dict of all figures. sent: how many were sent, if known; then those behind the last arrival count as lost too.

        The latencies are in ns: min_ns, mean_ns, median_ns, p99_ns, p999_ns, max_ns; None when nothing came.
        """
        unique = self.received - self.duplicates
        per_cycle = 1e9 / tsc_hz()
        return {
            "received": self.received,
            "lost": self.lost if sent is None else max(sent - unique, 0),
            "reordered": self.reordered,
            "duplicates": self.duplicates,
            "foreign": self.foreign,
            "min_ns": self.fewest * per_cycle if unique else None,
            "mean_ns": self.total / unique * per_cycle if unique else None,
            "median_ns": self.quantile(0.5),
            "p99_ns": self.quantile(0.99),
            "p999_ns": self.quantile(0.999),
            "max_ns": self.most * per_cycle if unique else None,
        }
