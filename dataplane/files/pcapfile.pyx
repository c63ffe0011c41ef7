# SPDX-License-Identifier: BSD-3-Clause
"""The classic pcap file: a buffered reader and a buffered writer, both without the GIL.

Format: a header of 24 bytes (magic, version 2.4, two zeros, snap length, link type), then records of 16 bytes (seconds,
micro- or nanoseconds, captured length, length on the wire) and the captured bytes. The magic says in which byte order
and which unit. Both orders and both units are read; the machine's own order is written.

Files are read, never mapped: one that another process cuts short is an error then, and not the end of this process.
"""

import os
import stat
import sys

from libc.errno cimport EINTR, EIO, errno
from libc.stdint cimport UINT16_MAX
from libc.stdlib cimport free
from libc.string cimport memcpy, memmove
from posix.stat cimport fstat, struct_stat
from posix.stdlib cimport posix_memalign
from posix.unistd cimport close, ftruncate, lseek, write

from dataplane.clock cimport wall_ns
from dataplane.machine cimport unlikely
from dataplane.mbuf cimport copy_out, data, set_arrival, set_original_length
from dataplane.files.record cimport record_of

from dataplane.engine.claim import Claim, holder
from dataplane.errors import ConfigError, PcapError
from dataplane.files.output import Output
from dataplane.files.record import ETHERNET, Record


cdef extern from "<unistd.h>" nogil:
    enum:
        SEEK_SET
    ssize_t pread(int fd, void *to, size_t length, long long offset)

cdef enum:
    MAGIC_US = 0xA1B2C3D4
    MAGIC_NS = 0xA1B23C4D
    PAGE = 4096
    WRITE_BUFFER = 1 << 20
    READ_BUFFER = 1 << 18  # it stays in a core's own cache between the kernel's copy and ours

LINK_ETHERNET = ETHERNET

# Files that people take for pcap files: how they begin, what they are, and what makes a pcap file of them.
_FOREIGN = (
    (b"\x0a\x0d\x0d\x0a", "a pcapng file: convert it with 'editcap -F pcap IN OUT'"),
    (b"snoop\0\0\0", "a snoop file: convert it with 'editcap -F pcap IN OUT'"),
    (b"\x1f\x8b", "compressed by gzip: unpack it with 'gunzip'"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd: unpack it with 'unzstd'"),
    (b"\xfd7zXZ\0", "compressed by xz: unpack it with 'unxz'"),
    (b"\x34\xcd\xb2\xa1", "of Kuznetzov's variant of pcap: convert it with 'editcap -F pcap IN OUT'"),
    (b"\xa1\xb2\xcd\x34", "of Kuznetzov's variant of pcap: convert it with 'editcap -F pcap IN OUT'"),
)


cdef class PcapReader:
    """A pcap file, read from its first record on. preload: all of it at once, so that replaying it never waits for a disk.

    who: whose reading it is, for messages; such a file must not be written by this program meanwhile, and None may look
    at what it has written so far. Iterating gives `Record`s and raises PcapError where the file is damaged or has
    been cut short, after the whole records before; a file that another process still writes ends with its last whole
    record. `close` lets this program write the file. Raises PcapError for what is no pcap file or cannot be read,
    FileInUse for a file that this program writes.
    """

    def __cinit__(self, path, *, preload=False, who=None):
        self.fd = -1
        self.path = os.fspath(path)
        try:
            self.fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY)
            status = os.fstat(self.fd)
            if stat.S_ISDIR(status.st_mode):
                raise IsADirectoryError(21, "Is a directory")
            if not stat.S_ISREG(status.st_mode):
                raise PcapError(f"{self.path} is not a regular file, which can be read again: copy it to a disk first")
            self._claim = Claim(self.fd, who or "a PcapReader", path=self.path, writes=False, looks=who is None)
        except OSError as error:
            raise PcapError(f"cannot read {self.path}: {error.strerror}: check the name and the permissions") from None
        self.most = status.st_size
        self.room = (self.most if preload else READ_BUFFER) + RECORD_HEADER + MAX_CAPTURED
        cdef void *memory = NULL
        # Code that copies a record in steps of 64 bytes may read beyond its end.
        if posix_memalign(&memory, PAGE, self.room + 256):
            raise MemoryError(f"no memory for {self.room} bytes of {self.path}")
        self.buffer = <uint8_t *> memory
        self.more(self.room if preload else FILE_HEADER)
        self.preloaded = preload
        if self.failed:
            raise PcapError(f"cannot read {self.path}: {os.strerror(self.failed)}: see whether its disk is well")
        if not self.size:
            raise PcapError(f"{self.path} is empty: not even a pcap file's header is in it")
        self._read_header()

    def __dealloc__(self):
        if self.fd >= 0 and self.path is not None:  # without a path nothing was opened, and 0 is a descriptor too
            close(self.fd)
        free(self.buffer)

    def close(self):
        """Read no more; the file may be written by this program."""
        if self.fd >= 0:
            close(self.fd)
            self.fd = -1
        self._claim.release()
        self.at = self.size

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def _read_header(self):
        head = self.buffer[: min(self.size, FILE_HEADER)]
        for start, what in _FOREIGN:
            if head.startswith(start):
                raise PcapError(f"{self.path} is {what}")
        cdef uint32_t magic = word(self.buffer, False) if self.size >= 4 else 0
        self.swapped = magic != MAGIC_US and magic != MAGIC_NS
        if self.swapped:
            magic = dp_swap32(magic)
        if magic != MAGIC_US and magic != MAGIC_NS:
            raise PcapError(
                f"{self.path} is no pcap file: it begins with {head[:4].hex(' ') or 'nothing'} at offset 0, a pcap file "
                "with d4 c3 b2 a1, a1 b2 c3 d4 or their nanosecond kin: see what 'file' says of it"
            )
        if self.size < FILE_HEADER:
            raise PcapError(
                f"{self.path} ends at offset {self.size}, within the header of {FILE_HEADER} bytes: capture it again"
            )
        self.nanosecond = magic == MAGIC_NS
        version = word(self.buffer + 4, self.swapped)
        major, minor = (version >> 16, version & 0xFFFF) if self.swapped else (version & 0xFFFF, version >> 16)
        if (major, minor) != (2, 4):
            raise PcapError(
                f"{self.path} is a pcap file of version {major}.{minor} (offset 4), 2.4 can be read: convert it with "
                "'editcap -F pcap IN OUT'"
            )
        self.snaplen = word(self.buffer + 16, self.swapped)
        link = word(self.buffer + 20, self.swapped)
        self.link_type = link & 0x03FFFFFF
        self.fcs_bytes = (link >> 28) * 2 if link >> 26 & 1 else 0
        self.at = FILE_HEADER

    @property
    def fcs_length(self):
        """Bytes of FCS at the end of each frame, as the header says; 0 if it says nothing."""
        return self.fcs_bytes

    cdef int next(self, record_t *record) noexcept nogil:
        cdef const uint8_t *header
        cdef uint32_t length
        if unlikely(self.size - self.at < RECORD_HEADER) and not self.more(RECORD_HEADER):
            return self._end()
        length = word(self.buffer + self.at + 8, self.swapped)
        if unlikely(length > MAX_CAPTURED):
            self.damaged = True
            return -1
        if unlikely(self.size - self.at < RECORD_HEADER + length) and not self.more(RECORD_HEADER + length):
            return self._end()
        header = self.buffer + self.at
        record.timestamp_ns = record_time(header, self.swapped, 1 if self.nanosecond else 1000)
        record.has_time = True
        record.data = header + RECORD_HEADER
        record.length = length
        record.original = max(word(header + 12, self.swapped), length)
        record.link_type = self.link_type
        record.interface = 0
        self.at += RECORD_HEADER + length
        self.records += 1
        return 1

    cdef void unread(self, uint32_t length) noexcept nogil:
        self.at -= RECORD_HEADER + length
        self.records -= 1

    cdef void take_off_fcs(self, record_t *record) noexcept nogil:
        if self.fcs_bytes and record.original >= self.fcs_bytes:
            record.original -= self.fcs_bytes
            record.length = min(record.length, record.original)

    cdef bint more(self, size_t need) noexcept nogil:
        cdef ssize_t got
        cdef size_t some
        if self.preloaded or self.fd < 0:
            return False
        # A file that fits into half the buffer stays there, for those who read it again and again.
        if self.at > READ_BUFFER // 2 or self.room - self.at < need:
            memmove(self.buffer, self.buffer + self.at, self.size - self.at)
            self.offset += self.at
            self.size -= self.at
            self.at = 0
        while self.size - self.at < need:
            some = min(self.room - self.size, <size_t> READ_BUFFER)
            got = pread(self.fd, self.buffer + self.size, some, self.offset + self.size)
            if got <= 0:
                if got < 0 and errno == EINTR:
                    continue
                if got < 0:
                    self.failed = errno
                return False
            self.size += got
        return True

    cdef int _end(self) noexcept nogil:
        """The result of `next` when no whole record is left: 0 at the end, or while another process writes; -1: damaged."""
        cdef struct_stat status
        if self.fd < 0:
            return 0
        self.most = max(self.most, self.offset + self.size)
        if fstat(self.fd, &status) == 0 and <uint64_t> status.st_size < self.most and not self.preloaded:
            self.cut = True
        elif not self.failed:
            if self.size == self.at:
                return 0
            with gil:
                if holder(self.fd) is not None:
                    return 0  # a process still writes it: the rest of this record is on its way
        self.damaged = True
        return -1

    def rewind(self):
        """Back to the first record."""
        self.restart()

    cdef void restart(self) noexcept nogil:
        if self.offset == 0:
            self.at = FILE_HEADER
        else:
            self.offset = FILE_HEADER
            self.at = self.size = 0
        self.records = 0
        self.failed = 0
        self.damaged = self.cut = False

    def error(self):
        """The PcapError for the record where reading stopped, or None if the file is whole so far."""
        if not self.damaged:
            return None
        cdef size_t left = self.size - self.at
        before = f"the {self.records} records before are whole"
        mend = "keep those with 'editcap -F pcap IN OUT', or capture it again"
        if self.failed:
            what = f"cannot be read: {os.strerror(self.failed)}"
        elif self.cut:
            what = f"is gone: the file was cut from {self.most} to {os.fstat(self.fd).st_size} bytes while it was read"
        elif left < RECORD_HEADER:
            what = f"ends {left} bytes into the {RECORD_HEADER} of its header"
        else:
            length = word(self.buffer + self.at + 8, self.swapped)
            if length > MAX_CAPTURED:
                what = f"claims {length} bytes, more than the {MAX_CAPTURED} a packet may have: the file is corrupt"
            else:
                what = f"claims {length} bytes and the file ends after {left - RECORD_HEADER} of them"
        at = self.offset + self.at
        return PcapError(f"{self.path}: record {self.records + 1} at offset {at} {what}; {before}: {mend}")

    def __iter__(self):
        return self

    def __next__(self):
        cdef record_t record
        cdef int found = self.next(&record)
        if found > 0:
            when = record.timestamp_ns if record.has_time else None
            return Record(when, record.data[: record.length], record.original, record.link_type, record.interface)
        if found < 0:
            raise self.error()
        raise StopIteration

    def __repr__(self):
        unit = "ns" if self.nanosecond else "us"
        return f"<PcapReader {self.path}: {self.most} bytes, {unit}, link type {self.link_type}>"


cdef class PcapWriter:
    """A pcap file to be written. `close` it: what is buffered is written then.

    snaplen: bytes to keep of each packet; nanosecond: timestamps in ns instead of us; link_type: 1 is Ethernet; path "-":
    standard output. Packets without a time get that of their burst. begin False: the file is named and checked only, and
    neither made nor emptied before `begin` is called. who: whose file it is, for messages.

    When a write fails (a full disk) the file is cut back to its last whole record, `error` keeps the errno, and everything
    later is refused. Raises PcapError, ConfigError, and FileInUse for a file that this program reads or that any process
    writes already.
    """

    def __cinit__(self, path, *, snaplen=MAX_CAPTURED, nanosecond=False, link_type=LINK_ETHERNET, begin=True, who="a PcapWriter"):
        self.fd = -1
        if not 1 <= snaplen <= MAX_CAPTURED:
            raise ConfigError(f"a snap length of {snaplen} bytes: must be 1 to {MAX_CAPTURED}")
        self.path = os.fspath(path)
        self.snaplen = snaplen
        self.nanosecond = nanosecond
        self.link_type = link_type
        self._output = Output(self.path, who, error=PcapError)
        # A record that is being copied may pass WRITE_BUFFER: the buffer is emptied after it.
        self.room = WRITE_BUFFER
        cdef void *memory = NULL
        if posix_memalign(&memory, PAGE, WRITE_BUFFER + RECORD_HEADER + MAX_CAPTURED):
            raise MemoryError("no memory for a pcap file's buffer")
        self.buffer = <uint8_t *> memory
        if begin:
            self.begin()

    def __del__(self):
        # Before the interpreter takes apart what refers to each other, `_output` among it.
        if self.fd >= 0:
            self.flush_buffer()

    def __dealloc__(self):
        free(self.buffer)

    def prepare(self):
        """Check that the file can be written, and lock it if it exists; it is not changed yet. Raises PcapError, FileInUse."""
        if self.fd < 0:
            self._waiting().prepare()

    def begin(self):
        """Make the file, or empty it, and begin it. Nothing happens if it has begun. Raises PcapError, FileInUse."""
        if self.fd >= 0:
            return
        self.fd = self._waiting().open()
        cdef uint32_t *header = <uint32_t *> self.buffer
        header[0] = MAGIC_NS if self.nanosecond else MAGIC_US
        header[1] = 2 | 4 << 16 if _LITTLE else 2 << 16 | 4
        header[2] = 0
        header[3] = 0
        header[4] = self.snaplen
        header[5] = self.link_type
        self.filled = FILE_HEADER

    def _waiting(self):
        if self._output is None:
            raise PcapError(f"{self.path} is closed: open a new PcapWriter")
        return self._output

    cdef int write_burst(self, mbuf **pkts, uint16_t n) noexcept nogil:
        cdef uint64_t last = 0, now = 0
        cdef uint32_t keep, seconds = 0, fraction = 0
        cdef uint32_t unit = 1 if self.nanosecond else 1000
        cdef uint32_t header[4]
        cdef record_t record
        cdef const mbuf *m
        cdef int i
        if unlikely(self.error or self.fd < 0):
            return 0
        for i in range(n):
            m = pkts[i]
            record_of(&record, m)
            if not record.has_time:
                if now == 0:
                    now = wall_ns()
                record.timestamp_ns = now
            if record.timestamp_ns != last:
                last = record.timestamp_ns
                seconds = <uint32_t> (last // NS)
                fraction = <uint32_t> (last - <uint64_t> seconds * NS) // unit
            keep = min(record.length, self.snaplen)
            header[0] = seconds
            header[1] = fraction
            header[2] = keep
            header[3] = record.original
            memcpy(self.buffer + self.filled, header, RECORD_HEADER)
            self.filled += RECORD_HEADER
            if m.data_len >= keep:
                memcpy(self.buffer + self.filled, data(m), keep)
            else:
                copy_out(m, 0, self.buffer + self.filled, keep)
            self.filled += keep
            self.frames += 1
            if unlikely(self.filled >= self.room) and self.flush_buffer():
                return i + 1
        return n

    cdef int flush_buffer(self) noexcept nogil:
        cdef size_t done = 0
        cdef ssize_t wrote
        if self.error or self.fd < 0:
            return self.error
        while done < self.filled:
            wrote = write(self.fd, self.buffer + done, self.filled - done)
            if wrote > 0:
                done += wrote
            elif wrote == 0 or errno != EINTR:
                self.error = errno if wrote < 0 else EIO
                self._cut_back(done)
                return self.error
        self.written += done
        self.filled = 0
        return 0

    cdef void _cut_back(self, size_t done) noexcept nogil:
        """`done` bytes of the buffer reached the file: end it after the last record that is whole."""
        cdef size_t at = 0 if self.written else FILE_HEADER
        cdef size_t whole = at if at <= done else 0
        cdef uint64_t gone = 0
        cdef uint32_t kept, original
        while at < self.filled:
            kept, original = word(self.buffer + at + 8, False), word(self.buffer + at + 12, False)
            at += RECORD_HEADER + kept
            if at <= done:
                whole = at
            else:
                gone += 1
                self.lost_bytes += original if kept == self.snaplen else kept
        self.written += whole
        self.frames -= gone
        self.lost += gone
        self.filled = 0
        # What is no regular file (a pipe) cannot be cut: its reader sees a truncated record.
        if ftruncate(self.fd, self.written) == 0:
            lseek(self.fd, self.written, SEEK_SET)

    def write(self, frame, timestamp_ns=None, original_length=None):
        """Append one frame (bytes). timestamp_ns: ns since the epoch, None: now; original_length: bytes it had on the wire,
        None: as many as there are. Raises PcapError when it cannot.
        """
        cdef bytes raw = memoryview(frame).tobytes()
        cdef mbuf m  # on the stack, its data where these bytes are
        cdef mbuf *pkt = &m
        if len(raw) > UINT16_MAX:
            raise ConfigError(f"a frame of {len(raw)} bytes: must be at most {UINT16_MAX}")
        if original_length is not None and not len(raw) <= original_length < 1 << 32:
            raise ConfigError(f"original_length={original_length}: it cannot be below the {len(raw)} bytes of the frame")
        m.next = NULL
        m.ol_flags = 0
        m.pkt_len = <uint32_t> len(raw)
        m.data_len = <uint16_t> len(raw)
        m.data_off = 0
        m.buf_addr = <void *> <const char *> raw
        if timestamp_ns is not None:
            set_arrival(&m, timestamp_ns)
        if original_length is not None:
            set_original_length(&m, original_length)
        if self.write_burst(&pkt, 1) != 1 or self.error:
            self._raise()

    def flush(self):
        """Hand everything to the kernel. Raises PcapError when it does not take it."""
        if self.flush_buffer():
            self._raise()

    def close(self):
        """Write what is buffered and close. Raises PcapError when that fails or an earlier write had failed."""
        if self._output is None:
            return
        begun = self.fd >= 0
        self.flush_buffer()
        self.fd = -1
        output, self._output = self._output, None
        try:
            output.close()
        except OSError as error:
            self.error = self.error or error.errno
        if begun and self.error:
            self._raise()

    def failure(self):
        """The PcapError for `error`, or None when all is well."""
        if not self.error:
            return None
        return PcapError(
            f"writing {self.path} failed: {os.strerror(self.error)}: it ends after {self.frames} whole frames, {self.lost} "
            "buffered ones are lost: make room or choose another place, a snap length or a count"
        )

    def _raise(self):
        raise self.failure() or PcapError(
            f"{self.path} is closed: open a new PcapWriter" if self._output is None else f"{self.path} has not begun: call begin()"
        )

    @property
    def bytes(self):
        """Size of the file, with what is still buffered."""
        return self.written + self.filled

    @property
    def closed(self):
        """Whether it was closed."""
        return self._output is None

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def __repr__(self):
        return f"<PcapWriter {self.path}: {self.frames} frames, {self.bytes} bytes>"


cdef bint _LITTLE = sys.byteorder == "little"
