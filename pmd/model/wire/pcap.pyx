# SPDX-License-Identifier: BSD-3-Clause
"""A wire whose other end is capture files: what the port sends is written to one, another is played into the port."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from dataplane.limits cimport ETHERNET_HEADER_BYTES, FRAME_MIN_WITHOUT_FCS_BYTES
from dataplane.mbuf cimport mbuf
from dataplane.files.pcapfile cimport PcapReader, PcapWriter
from dataplane.pmd.datasheet.limits cimport FRAME_MAX_WITHOUT_FCS_BYTES
from dataplane.files.record cimport is_long_gap, record_t

from dataplane.errors import ConfigError, DataplaneError
from dataplane.files.record import warn_of_gap

from dataplane.pmd.model.datapath.engine cimport Engine, Wire
from dataplane.pmd.model.state.fifo cimport (
    mdl_commit,
    mdl_fifo,
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

cdef uint64_t LAST = <uint64_t> -2  # ns: every frame is due

cdef enum:
    TX_BUFFER = 160 << 10
    STEP_FRAMES = 64  # frames a step and direction


cdef class PcapWire(Wire):
    """Plugged into `port`. record: file for what it sends, None to throw that away; it is made by `begin`, or by the first
    frame. play: file that it receives.

    timing: play with the gaps of the file, by the card's clock, instead of flat out. loops: how often to play it, 0 for
    ever. Frames are padded to 60 bytes as a sender would; those above 15868 bytes are skipped, and counted.
    A frame of which the file has a part only is played as long as that part is: a wire carries whole frames. netem: what
    happens to frames on their way, None: nothing. elastic: what is played while the packet buffer is full waits; without it
    it is lost and counted (RXMPC), which takes timing, for a file that is played flat out has no time of its own.
    Raises ConfigError if the port has a wire, PcapError for files that cannot be read or written.
    """

    cdef readonly Engine port
    cdef readonly PcapReader reader
    cdef readonly PcapWriter writer
    cdef readonly bint timing, finished
    cdef readonly uint32_t loops
    cdef readonly uint64_t recorded, played, skipped, discarded
    cdef uint32_t _loop
    cdef uint64_t _began, _first
    cdef uint64_t _warned  # number of the record whose gap was reported last
    cdef record_t _record
    cdef bint _waiting
    cdef object _refused  # the error of a file that could not be begun
    cdef mdl_fifo *_out  # what is recorded
    cdef mdl_fifo *_in  # what is played: the packet buffer, or what is under way to it
    cdef bint _waits  # a record is not played while there is no room for it

    def __cinit__(
        self, Engine port not None, record=None, play=None, netem=None, *, bint timing=False, uint32_t loops=1, bint elastic=True
    ):
        if port.wire is not None:
            raise ConfigError(f"{port.name} has a wire already: unplug it first")
        if not (elastic or timing):
            raise ConfigError("elastic=off needs timing=on: a capture that is played flat out waits for its receiver")
        self._set(elastic, netem)
        who = f"the wire of {port.name}"
        self.reader = PcapReader(play, who=who) if play is not None else None
        try:
            self.writer = PcapWriter(record, nanosecond=True, begin=False, who=who) if record is not None else None
        except BaseException:
            if self.reader is not None:
                self.reader.close()
            raise
        self.port, self.timing, self.loops = port, timing, loops
        self.finished = self.reader is None
        self._out = mdl_fifo_new(TX_BUFFER)
        if self._out == NULL:
            raise MemoryError("no memory for a wire")
        self._in = port.port.rx_fifo if self.inward is None else self.inward.entry
        self._waits = elastic or self.inward is not None
        port.plug(self, self._out if self.outward is None else self.outward.entry, True, True, NULL)

    def __dealloc__(self):
        mdl_fifo_free(self._out)

    cdef uint32_t step(self, Engine engine) noexcept nogil:
        cdef uint32_t done = 0
        if self.outward is not None:
            done += self.outward.carry(self._out, engine.port.now_ns, True)
        done += self._drain()
        if not self.finished:
            done += self._play()
        if self.inward is not None:
            done += self.inward.carry(engine.port.rx_fifo, engine.port.now_ns, self.elastic)
        return done

    def leads_to(self, Engine engine not None):
        return "captures"

    def prepare(self):
        """Check and lock the file that is to be written. Raises PcapError, FileInUse."""
        if self.writer is not None:
            self.writer.prepare()

    def begin(self):
        """Make the file. A frame that is sent before does the same. Raises PcapError, FileInUse."""
        if self.writer is not None:
            self.writer.begin()

    cdef void _begin_late(self) noexcept nogil:
        """A frame came before `begin`: of a port that ran before the program's checks were over, as a PF with VFs does."""
        with gil:
            try:
                self.writer.begin()
            except DataplaneError as error:
                self._refused = error

    cdef uint32_t _drain(self) noexcept nogil:
        cdef mdl_frame *frame = mdl_peek(self._out)
        cdef mbuf m  # on the stack, its data where the frame is
        cdef mbuf *pkt = &m
        cdef uint32_t done = 0
        while frame != NULL and done < STEP_FRAMES:
            if self.writer is not None:
                if self.writer.fd < 0 and <void *> self._refused == <void *> None:
                    self._begin_late()
                m.next, m.ol_flags, m.data_off, m.buf_addr = NULL, 0, 0, frame.data
                m.pkt_len, m.data_len = frame.len, frame.len
                if self.writer.write_burst(&pkt, 1) == 1 and not self.writer.error:
                    self.recorded += 1
                else:
                    self.discarded += 1  # the disk is full; check() says so
            else:
                self.discarded += 1
            mdl_pop(self._out, frame)
            done += 1
            frame = mdl_peek(self._out)
        return done

    cdef bint _next(self) noexcept nogil:
        """The next record that can be a frame, in _record. False, and finished, at the end."""
        while True:
            if self.reader.next(&self._record) <= 0:
                self._loop += 1
                if self.reader.damaged or self.reader.records == 0 or self._loop == self.loops:
                    self.finished = True
                    return False
                self.reader.restart()
                self._began = 0
                continue
            self.reader.take_off_fcs(&self._record)
            if ETHERNET_HEADER_BYTES <= self._record.length <= FRAME_MAX_WITHOUT_FCS_BYTES:
                return True
            self.skipped += 1

    cdef uint32_t _play(self) noexcept nogil:
        cdef uint32_t done = 0, n, size
        cdef mdl_fifo *fifo = self._in
        cdef mdl_frame *frame
        cdef uint64_t now = self.port.port.now_ns, due
        cdef uint8_t[64] stub  # what is kept of a frame that is lost
        mdl_fifo_refresh(fifo)
        while done < STEP_FRAMES:
            if not self._waiting and not self._next():
                break
            self._waiting = True
            if self.timing:
                if self._began == 0:
                    self._began, self._first = now, self._record.timestamp_ns
                due = self._first + (now - self._began)
                if self._record.timestamp_ns > due:
                    if is_long_gap(self._record.timestamp_ns - due) and self._warned != self.reader.records:
                        self._warned = self.reader.records
                        with gil:
                            warn_of_gap(
                                f"the wire of {self.port.name}", self._warned, self._record.timestamp_ns - due,
                                "timing=off plays it without gaps",
                            )
                    break
            n = self._record.length
            size = n if n > FRAME_MIN_WITHOUT_FCS_BYTES else FRAME_MIN_WITHOUT_FCS_BYTES
            frame = mdl_reserve(fifo, size)
            if frame != NULL:
                memcpy(frame.data, self._record.data, n)
                memset(frame.data + n, 0, size - n)
                mdl_label(frame, size, 0, 0, now)
                mdl_commit(fifo, size)
            elif self._waits:
                break
            else:
                memset(stub, 0, sizeof(stub))
                memcpy(stub, self._record.data, min(n, <uint32_t> sizeof(stub)))
                mdl_lose(fifo, stub, size, 0)
            self._waiting = False
            self.played += 1
            done += 1
        return done

    def check(self):
        """Raise PcapError if playing met a damaged record or recording a full disk."""
        for error in (self.reader and self.reader.error(), self._refused, self.writer and self.writer.failure()):
            if error is not None:
                raise error

    def close(self):
        """Unplug, and write what is buffered. Raises PcapError as check() does. The caller holds the card's lock."""
        self.port.unplug()
        self._drain_all()
        damage = self.reader and self.reader.error()
        if self.reader is not None:
            self.reader.close()
            self.finished = True
        if self.writer is not None:
            self.writer.close()
        for error in (damage, self._refused):
            if error is not None:
                raise error

    def _drain_all(self):
        """What is under way counts as sent: it lands now."""
        while True:
            moved = self.outward.carry(self._out, LAST, True) if self.outward is not None else 0
            if not self._drain() and not moved:
                return
