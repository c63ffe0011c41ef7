# SPDX-License-Identifier: BSD-3-Clause
"""pcap: packets from a capture file, packets into one.

``pcap:in.pcap`` receives what is in the file, ``pcap:>out.pcap`` writes what is sent, ``pcap:in.pcap>out.pcap`` does both.
speed: ``max`` (as fast as it is polled) or ``original`` (with the gaps of the capture). max_gap: the longest gap in seconds
with ``original``; longer ones are shortened to it. loop: how often the file is read, 0: for ever. preload: read the file into
memory at once, as it is with files of up to 256 MiB that are read several times. nanosecond: write timestamps in ns. snaplen:
bytes to write of each packet. Packets carry the file's timestamps. A damaged file gives its whole records first and then its
error.
"""

from libc.errno cimport EBADMSG
from libc.stdint cimport UINT64_MAX, uint8_t
from libc.string cimport memcpy

from dataplane.clock cimport mono_ns
from dataplane.machine cimport likely, unlikely
from dataplane.mbuf cimport data, set_original_length
from dataplane.mempool cimport free_bulk, free_packets
from dataplane.files.pcapfile cimport RECORD_HEADER, PcapReader, PcapWriter, record_time, word
from dataplane.pmd.virtual.queue cimport (
    VirtualRx, VirtualTx, arrived, arrived_at, bytes_of, mbuf, take, uint16_t, uint32_t, uint64_t, weight,
)
from dataplane.files.record cimport is_long_gap, note_record, record_t

import os

from dataplane.errors import ConfigError, PcapError
from dataplane.files.pcapfile import LINK_ETHERNET
from dataplane.port import PortInfo
from dataplane.files.record import warn_of_gap
from dataplane.pmd.virtual.port import VirtualPort


cdef enum:
    STALL_NS = 100_000_000  # speed=original: the longest time without a poll that is made up for
    KEEP = 256 << 20


cdef class PcapRx(VirtualRx):
    cdef PcapReader reader
    cdef bint original
    cdef uint64_t loops        # 0: for ever
    cdef uint64_t passes       # whole ones since the start
    cdef uint64_t first_ns     # timestamp of the first record of this pass
    cdef uint64_t begun_ns     # when the first record was due, 0: not yet
    cdef uint64_t looked_ns    # when the time was looked at last
    cdef uint64_t max_gap_ns   # 0: gaps are as in the capture
    cdef uint64_t warned       # number of the last record whose gap was logged

    cdef uint16_t rx_burst(self, mbuf **pkts, uint16_t n) noexcept nogil:
        cdef uint64_t until = UINT64_MAX
        cdef uint16_t got = 0, have
        if unlikely(self.exhausted or self.pool == NULL):
            return 0
        if self.original and not self._due(&until):
            return 0
        have = take(self, pkts, n)
        got = self._plain(pkts, have, until)
        if unlikely(got == 0 and have):
            free_bulk(self.pool, pkts + 1, have - 1)  # a long record may need them
            have = 1
            got = self._odd(pkts[0], until)
            self.burst_bytes = bytes_of(pkts, got)
        if got < have:
            free_bulk(self.pool, pkts + got, have - got)
        self.packets += got
        self.bytes += self.burst_bytes
        return got

    cdef uint16_t _plain(self, mbuf **pkts, uint16_t n, uint64_t until) noexcept nogil:
        """Whole records in the reader's buffer that fit one segment. It stops at the first that does not, or is due later."""
        cdef const uint8_t *at = self.reader.buffer + self.reader.at
        cdef const uint8_t *end = self.reader.buffer + self.reader.size
        cdef bint swapped = self.reader.swapped
        cdef uint32_t unit = 1 if self.reader.nanosecond else 1000
        # Where lengths are not what they seem, every record goes the long way.
        cdef uint32_t room = 0 if self.reader.fcs_bytes else self.pool.data_room
        cdef uint32_t length, original, k
        cdef mbuf *m
        cdef uint64_t stamp, total = 0
        cdef uint8_t *to
        cdef uint16_t i = 0
        while i < n and end - at > RECORD_HEADER:
            length = word(at + 8, swapped)
            if unlikely(length == 0 or length > room or length > end - at - RECORD_HEADER):
                break
            stamp = record_time(at, swapped, unit)
            if unlikely(stamp > until):
                break
            m = pkts[i]
            original = word(at + 12, swapped)
            arrived_at(m, length, stamp)
            if unlikely(original > length):
                set_original_length(m, original)
            at += RECORD_HEADER
            to = data(m)
            if length <= 256:
                for k in range(0, length, 64):  # past the record's end, but inside the buffer and the data room
                    memcpy(to + k, at + k, 64)
            else:
                memcpy(to, at, length)
            at += length
            total += length
            i += 1
        self.burst_bytes = total
        self.reader.at = at - self.reader.buffer
        self.reader.records += i
        return i

    cdef uint16_t _odd(self, mbuf *first, uint64_t until) noexcept nogil:
        """One step past what `_plain` stopped at: a record that is long, empty, not due or not in the buffer yet; the end."""
        cdef record_t record
        cdef uint32_t length
        cdef int found = self.reader.next(&record)
        if found < 0:
            self.exhausted = True
            self.fault = EBADMSG
            return 0
        if found == 0:
            self.passes += 1
            # A file without records would be read for ever in no time.
            if self.passes == self.loops or self.reader.records == 0:
                self.exhausted = True
            else:
                self.reader.restart()
                self.begun_ns = 0
            return 0
        length = record.length
        if record.timestamp_ns > until:
            self.reader.unread(length)
            return 0
        self.reader.take_off_fcs(&record)
        if record.length == 0 or record.length > <uint64_t> self.pool.n * self.pool.data_room:
            self.errors += 1  # nothing that could be sent on, or more than this pool will ever have room for
            return 0
        arrived(first, record.length)
        note_record(first, &record)
        if self.fill_chain(first, record.data, record.length):
            self.reader.unread(length)  # no mbuf: this one is for the next poll
            self._unchain(first)
            return 0
        return 1

    cdef void _unchain(self, mbuf *first) noexcept nogil:
        if first.next != NULL:
            free_packets(&first.next, 1)
            first.next = NULL

    cdef bint _due(self, uint64_t *until) noexcept nogil:
        """Whether the next record, or the file's end, is due by now; `until` is the timestamp up to which records are."""
        cdef uint64_t now = mono_ns(), stamp
        if self.reader.size - self.reader.at < RECORD_HEADER and not self.reader.more(RECORD_HEADER):
            return True  # the end, or what is left of a record
        stamp = record_time(
            self.reader.buffer + self.reader.at, self.reader.swapped, 1 if self.reader.nanosecond else 1000
        )
        if self.begun_ns == 0:
            self.begun_ns = now
            self.first_ns = stamp
        elif now - self.looked_ns > STALL_NS:
            # A process that was stopped goes on where it was: what came due meanwhile must not come all at once.
            self.begun_ns += now - self.looked_ns - STALL_NS
        self.looked_ns = now
        until[0] = self.first_ns + (now - self.begun_ns)
        if stamp <= until[0]:
            return True
        if self.max_gap_ns:
            if stamp - until[0] > self.max_gap_ns:
                # All later records move by as much as this gap is shortened.
                self.first_ns += stamp - until[0] - self.max_gap_ns
        elif is_long_gap(stamp - until[0]) and self.warned != self.reader.records + 1:
            self.warned = self.reader.records + 1
            with gil:
                warn_of_gap(
                    self.port.name, self.warned, stamp - until[0], "max_gap=SECONDS shortens gaps, speed=max ignores them"
                )
        return False

    cdef int check_ready(self) except -1:
        VirtualRx.check_ready(self)
        if self.reader is None:
            raise PcapError(f"{self!r} has no file: it is none of its port's queues")
        return 0

    cpdef object fault_error(self):
        """Where and how the file is damaged."""
        return self.reader.error()

    def again(self):
        """From the first record on."""
        self.reader.restart()
        self.passes = 0
        self.begun_ns = 0
        self.warned = 0


cdef class PcapTx(VirtualTx):
    cdef PcapWriter writer
    cdef bint told  # `fault_error` has reported the failure

    cdef uint16_t tx_burst(self, mbuf **pkts, uint16_t n) noexcept nogil:
        cdef uint64_t total = weight(self, pkts, n)
        cdef uint16_t took = <uint16_t> self.writer.write_burst(pkts, n)
        self.bytes += total if likely(took == n) else bytes_of(pkts, took)
        free_packets(pkts, took)
        if unlikely(self.writer.error):
            self.fault = self.writer.error
        return took

    cdef void flush(self) noexcept nogil:
        if self.writer.filled:
            self.fault = self.writer.flush_buffer()

    cdef int check_ready(self) except -1:
        VirtualTx.check_ready(self)
        if self.writer is None:
            raise PcapError(f"{self!r} has no file: it is none of its port's queues")
        return 0

    cpdef object fault_error(self):
        """The error of the file's last write."""
        self.told = True
        return self.writer.failure()

    def settle(self, close=False):
        """Write what is buffered. Raises PcapError when that fails, unless `fault_error` was asked before."""
        try:
            if close:
                self.writer.close()
            else:
                self.writer.flush()
        except PcapError:
            if not self.told:
                self.told = True
                raise

    @property
    def counters(self):
        """Its counters since it was made: packets in the file or still buffered, and packets lost."""
        return {
            "packets": self.writer.frames,
            "bytes": self.bytes - self.writer.lost_bytes,
            "errors": self.writer.lost,
            "link_down": 0,
        }


class PcapPort(VirtualPort):
    """Receives from one capture file, sends into another; either may be missing."""

    def __init__(
        self, name, source="", target="", *, speed="max", loop=1, preload=False, nanosecond=False, snaplen=262144, max_gap=None
    ):
        super().__init__(name)
        if not source and not target:
            raise ConfigError(f"{name}: no file: write pcap:IN, pcap:>OUT or pcap:IN>OUT")
        if loop < 0:
            raise ConfigError(f"{name}: loop={loop}: how often the file is read; 0 is for ever")
        if max_gap is not None and not (1e-6 <= max_gap <= 1e9 and speed == "original"):
            raise ConfigError(
                f"{name}: max_gap={max_gap:g}: must be 0.000001 to 1000000000 seconds, and needs speed=original"
            )
        self.info = PortInfo("pcap", max_rx_queues=int(bool(source)), max_tx_queues=int(bool(target)), max_frame=65535)
        self.speed = speed
        self.loop = loop
        self.max_gap = max_gap
        self._reader = None
        if source:
            again = loop != 1 and os.path.exists(source) and os.path.getsize(source) <= KEEP
            self._reader = PcapReader(source, preload=preload or again, who=name)
        self._writer = None
        try:
            if source and self._reader.link_type != LINK_ETHERNET:
                raise PcapError(
                    f"{source}: link type {self._reader.link_type} (offset 20), a port has Ethernet (1): capture on an "
                    "Ethernet interface, or rewrite it with 'tcprewrite --dlt=enet'"
                )
            if target:
                self._writer = PcapWriter(target, nanosecond=nanosecond, snaplen=snaplen, begin=False, who=name)
        except BaseException:
            if source:
                self._reader.close()
            raise

    @property
    def done(self):
        """Whether the file has been read as often as was asked for."""
        return bool(self._rx) and self.rx(0).exhausted

    def _make_rx(self, index):
        cdef PcapRx queue = PcapRx(self, index)
        queue.reader = self._reader
        queue.original = self.speed == "original"
        queue.loops = self.loop
        queue.max_gap_ns = 0 if self.max_gap is None else round(self.max_gap * 1e9)
        return queue

    def _make_tx(self, index):
        cdef PcapTx queue = PcapTx(self, index)
        queue.writer = self._writer
        return queue

    def prepare(self):
        """Check and lock the file that is to be written; it is not touched yet."""
        if self._writer is not None:
            self._writer.prepare()

    def _start(self):
        if self._writer is not None:
            self._writer.begin()
        super()._start()
        for queue in self._rx.values():
            queue.again()

    def _stop(self):
        for queue in self._tx.values():
            queue.settle()

    def abandon(self):
        """Write what is buffered; a poller that does not come back meets an open file. Raises PcapError."""
        if self.started:
            self._stop()

    def close(self):
        """Stop, and write what is buffered. Raises PcapError when the file did not take it."""
        with self._turn:
            self._check_unused()
            try:
                super().close()
            finally:
                self.closed = True
                if self._reader is not None:
                    self._reader.close()
                if self._writer is not None and not self._writer.closed:
                    self.tx(0).settle(close=True)


def open_port(spec):
    """``pcap:IN``, ``pcap:>OUT``, ``pcap:IN>OUT``, with speed, max_gap, loop, preload, nanosecond, snaplen."""
    source, arrow, target = spec.target.partition(">")
    if arrow and not target:
        raise ConfigError(f"{spec.text}: no file behind the >: write pcap:IN, pcap:>OUT or pcap:IN>OUT")
    options = {
        "speed": spec.word("speed", "max", ("max", "original")),
        "loop": spec.integer("loop", 1),
        "preload": spec.flag("preload", False),
        "nanosecond": spec.flag("nanosecond", False),
        "snaplen": spec.integer("snaplen", 262144),
    }
    gap = spec.number("max_gap", 0.0)
    if "max_gap" in spec.options:
        options["max_gap"] = gap
    spec.done()
    return PcapPort(spec.text, source, target, **options)
