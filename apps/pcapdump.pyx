# SPDX-License-Identifier: BSD-3-Clause
"""PcapDump: writes what comes by to a pcap file, or to a row of them, and passes it on."""

import errno
from pathlib import Path

from libc.stdint cimport uint16_t, uint64_t

from dataplane.app cimport App, pass_on
from dataplane.clock cimport tsc_hz
from dataplane.machine cimport tsc, unlikely
from dataplane.mbuf cimport mbuf
from dataplane.files.pcapfile cimport FILE_HEADER, MAX_CAPTURED, RECORD_HEADER, PcapWriter

from dataplane.errors import ConfigError, PcapError
from dataplane.files.output import is_standard_output

cdef double FLUSH_SECONDS = 0.1  # how old buffered packets may become while no others arrive


cdef class PcapDump(App):
    """Write packets to `file`; the file is created when the pipeline starts and complete when it has stopped. "-" is
    standard output.

    snaplen: bytes of each packet to keep. count: frames to write, then packets only pass. nanosecond: timestamps in ns, not
    us; a packet without a timestamp gets the time of its burst. rotate_bytes, rotate_seconds: start the next
    file before one grows larger or older than this; the files are then numbered: dump-00001.pcap, dump-00002.pcap, ...
    The edge may stay open: the packets end here then. Raises ConfigError; a file that cannot be written (a full disk)
    stops the pipeline with a PcapError, and ends after its last whole packet.
    """
    edges = ("out",)
    optional = ("out",)

    cdef readonly object file
    cdef readonly uint64_t snaplen
    cdef readonly bint nanosecond
    cdef readonly object count
    cdef readonly object rotate_bytes
    cdef readonly object rotate_seconds
    cdef readonly list files         # the paths written, in order

    cdef PcapWriter writer
    cdef uint64_t before             # frames in the files before this one
    cdef uint64_t limit              # frames in all
    cdef uint64_t most_bytes         # of a file
    cdef uint64_t most_cycles        # that a file is open
    cdef uint64_t opened
    cdef uint64_t flushed
    cdef object failed

    def __init__(self, file, snaplen=MAX_CAPTURED, count=None, rotate_bytes=None, rotate_seconds=None, nanosecond=True):
        if not isinstance(snaplen, int) or not 1 <= snaplen <= MAX_CAPTURED:
            raise ConfigError(f"snaplen={snaplen!r}: 1 to {MAX_CAPTURED} bytes of a packet can be kept")
        if count is not None and (not isinstance(count, int) or count < 1):
            raise ConfigError(f"count={count!r}: give a number of frames, 1 or more, or None for all")
        if rotate_bytes is not None and (not isinstance(rotate_bytes, int) or rotate_bytes < 1024):
            raise ConfigError(f"rotate_bytes={rotate_bytes!r}: give the size of a file, 1024 bytes or more, or None")
        if rotate_seconds is not None and not (isinstance(rotate_seconds, (int, float)) and rotate_seconds > 0):
            raise ConfigError(f"rotate_seconds={rotate_seconds!r}: give a time above 0, or None")
        self.file = Path(file)
        if is_standard_output(file) and (rotate_bytes is not None or rotate_seconds is not None):
            raise ConfigError(f"{file}: standard output is one file: do without rotation, or name a file")
        self.snaplen = snaplen
        self.nanosecond = nanosecond
        self.count = count
        self.rotate_bytes = rotate_bytes
        self.rotate_seconds = rotate_seconds
        self.limit = count or <uint64_t> -1
        self.most_bytes = rotate_bytes or <uint64_t> -1
        self.most_cycles = <uint64_t> (rotate_seconds * tsc_hz()) if rotate_seconds else <uint64_t> -1
        self.files = []

    def prepare(self):
        """Check that the first file can be written, and lock it; it is not touched yet. Raises PcapError, FileInUse."""
        if self.writer is None:
            self.writer = self._new_writer(0)
        self.writer.prepare()

    def start(self):
        """Create the file."""
        self.before = 0
        self.failed = None
        self.files = []
        self.prepare()
        self._open()

    def stop(self):
        """Write what is buffered. Raises PcapError when the file does not take it."""
        if self.writer is not None:
            writer, self.writer = self.writer, None
            try:
                writer.close()
            except PcapError as error:
                self.failed = self.failed or error
                if not self.fault:  # a fault that is already set is stopping the pipeline
                    raise
            finally:
                self.before += writer.frames  # those whose buffer could not be written are taken off by now

    def _new_writer(self, number):
        if self.rotate_bytes is None and self.rotate_seconds is None:
            path = self.file
        else:
            path = self.file.with_name(f"{self.file.stem}-{number + 1:05}{self.file.suffix}")
        return PcapWriter(path, snaplen=self.snaplen, nanosecond=self.nanosecond, begin=False, who=self.name)

    def _open(self):
        if self.writer is None:
            self.writer = self._new_writer(len(self.files))
        self.writer.begin()
        self.files.append(Path(self.writer.path))
        self.opened = self.flushed = tsc()

    cdef bint _rotate(self) noexcept nogil:
        """Open the next file. Returns False, and sets `fault`, when it cannot be opened."""
        with gil:
            try:
                self.stop()
                self._open()
            except Exception as error:
                self.failed = error
                self.fault = errno.EIO
                return False
        return True

    cdef void push(self, mbuf **pkts, uint16_t n) noexcept nogil:
        self._write(pkts, n)
        pass_on(self, 0, pkts, n)

    cdef void _write(self, mbuf **pkts, uint16_t n) noexcept nogil:
        cdef uint64_t left
        cdef uint64_t size = 0
        cdef uint16_t i
        if unlikely(self.fault or <void *> self.writer == <void *> None):
            if not self.fault:
                self.fault = BAD_FILE
            return
        if unlikely(tsc() - self.opened >= self.most_cycles) and not self._rotate():
            return
        left = self.limit - self.before - self.writer.frames
        if unlikely(left < n):
            n = <uint16_t> left
        if self.most_bytes != <uint64_t> -1:
            for i in range(n):
                size += RECORD_HEADER + min(<uint64_t> pkts[i].pkt_len, self.snaplen)
            if unlikely(self._size() + size > self.most_bytes):
                self._write_singly(pkts, n)
                return
        if n and self.writer.write_burst(pkts, n) < n or self.writer.error:
            self.fault = self.writer.error or BAD_FILE

    cdef void _write_singly(self, mbuf **pkts, uint16_t n) noexcept nogil:
        """A burst that ends one file and begins another."""
        cdef uint64_t size
        cdef uint16_t i
        for i in range(n):
            size = RECORD_HEADER + min(<uint64_t> pkts[i].pkt_len, self.snaplen)
            if self._size() + size > self.most_bytes and self._size() > FILE_HEADER and not self._rotate():
                return
            if self.writer.write_burst(pkts + i, 1) < 1 or self.writer.error:
                self.fault = self.writer.error
                return

    cdef uint64_t _size(self) noexcept nogil:
        return self.writer.written + self.writer.filled

    cdef void idle(self) noexcept nogil:
        cdef uint64_t now = tsc()
        if self.fault or <void *> self.writer == <void *> None or now - self.flushed < FLUSH_SECONDS * tsc_hz():
            return
        self.flushed = now
        if self.writer.filled and self.writer.flush_buffer():
            self.fault = self.writer.error

    cpdef object fault_error(self):
        """The PcapError that stopped it: the file, how many frames are in it, and the cause."""
        if self.failed is not None:
            return self.failed
        if self.writer is None or not self.writer.error:
            return PcapError(f"{self.file} is not open: a packet came before start() or after stop()")
        return self.writer.failure()

    @property
    def frames(self):
        """Frames written, in all files."""
        return self.before + (self.writer.frames if self.writer is not None else 0)

    @property
    def full(self):
        """Whether `count` frames are written."""
        return self.frames >= self.limit

    def __repr__(self):
        return f"PcapDump({str(self.file)!r})"


cdef int BAD_FILE = errno.EBADF
