# SPDX-License-Identifier: BSD-3-Clause
"""The classic pcap file: a reader over a memory map and a buffered writer, both without the GIL.

Format: a header of 24 bytes (magic, version 2.4, two zeros, snap length, link type), then records of 16 bytes (seconds,
micro- or nanoseconds, captured length, length on the wire) and the captured bytes. The magic says in which byte order
and which unit. Both orders and both units are read; the machine's own order is written.
"""

import mmap
import os
import stat
import sys
from collections import namedtuple
from pathlib import Path

import numpy as np

from libc.errno cimport EINTR, EIO, errno
from libc.stdint cimport UINT16_MAX
from libc.stdlib cimport free
from libc.string cimport memcpy
from posix.stdlib cimport posix_memalign
from posix.unistd cimport ftruncate, lseek, write

from dataplane.clock cimport wall_ns
from dataplane.machine cimport prefetch, unlikely
from dataplane.mbuf cimport arrival_ns, copy_out, data, set_arrival

from dataplane.errors import ConfigError, PcapError


cdef extern from "<unistd.h>" nogil:
    enum:
        SEEK_SET

cdef enum:
    MAGIC_US = 0xA1B2C3D4
    MAGIC_NS = 0xA1B23C4D
    PAGE = 4096
    BUFFER = 1 << 20

LINK_ETHERNET = 1

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

Record = namedtuple("Record", "timestamp_ns data wire_length")
Record.__doc__ = "One packet of a capture file. data: the captured bytes; wire_length: bytes it had on the wire."


cdef class PcapReader:
    """A pcap file, mapped into memory. preload: read into memory at once, so that replaying it never waits for a disk.

    Iterating gives `Record`s and raises PcapError where the file is damaged, after the whole records before. The file
    must not be cut short while it is read. Raises PcapError for what is no pcap file or cannot be read.
    """

    def __cinit__(self, path, *, preload=False):
        self.path = os.fspath(path)
        try:
            with Path(self.path).open("rb", buffering=0) as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode):
                    raise PcapError(f"{self.path} is not a regular file: pcap files are mapped; copy it to a disk first")
                if preload:
                    self._map = file.readall()
                elif status.st_size:
                    self._map = mmap.mmap(file.fileno(), 0, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ)
                    self._map.madvise(mmap.MADV_SEQUENTIAL)
        except OSError as error:
            raise PcapError(f"cannot read {self.path}: {error.strerror}: check the name and the permissions") from None
        if not self._map:
            raise PcapError(f"{self.path} is empty: not even a pcap file's header is in it")
        self._view = np.frombuffer(self._map, np.uint8)
        self.base = <const uint8_t *> <size_t> self._view.ctypes.data
        self.size = self._view.size
        self._read_header()

    def _read_header(self):
        head = self._map[: min(self.size, FILE_HEADER)]
        for start, what in _FOREIGN:
            if head.startswith(start):
                raise PcapError(f"{self.path} is {what}")
        cdef uint32_t magic = word(self.base, False) if self.size >= 4 else 0
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
        version = word(self.base + 4, self.swapped)
        major, minor = (version >> 16, version & 0xFFFF) if self.swapped else (version & 0xFFFF, version >> 16)
        if (major, minor) != (2, 4):
            raise PcapError(
                f"{self.path} is a pcap file of version {major}.{minor} (offset 4), 2.4 can be read: convert it with "
                "'editcap -F pcap IN OUT'"
            )
        self.snaplen = word(self.base + 16, self.swapped)
        link = word(self.base + 20, self.swapped)
        self.link_type = link & 0x03FFFFFF
        self.fcs_bytes = (link >> 28) * 2 if link >> 26 & 1 else 0
        self.at = FILE_HEADER

    @property
    def fcs_length(self):
        """Bytes of FCS at the end of each frame, as the header says; 0 if it says nothing."""
        return self.fcs_bytes

    cdef int next(self, record_t *record) noexcept nogil:
        cdef const uint8_t *header = self.base + self.at
        cdef size_t left = self.size - self.at
        cdef uint32_t length
        if unlikely(left < RECORD_HEADER):
            self.damaged = left != 0
            return -1 if self.damaged else 0
        left -= RECORD_HEADER
        length = word(header + 8, self.swapped)
        if unlikely(length > left or length > MAX_CAPTURED):
            self.damaged = True
            return -1
        prefetch(header + 512)
        record.timestamp_ns = <uint64_t> word(header, self.swapped) * NS
        record.timestamp_ns += <uint64_t> word(header + 4, self.swapped) * (1 if self.nanosecond else 1000)
        record.data = header + RECORD_HEADER
        record.length = length
        record.wire_length = word(header + 12, self.swapped)
        self.at += RECORD_HEADER + length
        self.records += 1
        return 1

    def rewind(self):
        """Back to the first record."""
        self.restart()

    cdef void restart(self) noexcept nogil:
        self.at = FILE_HEADER
        self.records = 0
        self.damaged = False

    def error(self):
        """The PcapError for the record where reading stopped, or None if the file is whole so far."""
        if not self.damaged:
            return None
        cdef size_t left = self.size - self.at
        before = f"the {self.records} records before are whole"
        mend = "keep those with 'editcap -F pcap IN OUT', or capture it again"
        if left < RECORD_HEADER:
            what = f"ends {left} bytes into the {RECORD_HEADER} of its header"
        else:
            length = word(self.base + self.at + 8, self.swapped)
            if length > MAX_CAPTURED:
                what = f"claims {length} bytes, more than the {MAX_CAPTURED} a packet may have: the file is corrupt"
            else:
                what = f"claims {length} bytes and the file ends after {left - RECORD_HEADER} of them"
        return PcapError(f"{self.path}: record {self.records + 1} at offset {self.at} {what}; {before}: {mend}")

    def __iter__(self):
        return self

    def __next__(self):
        cdef record_t record
        cdef int found = self.next(&record)
        if found > 0:
            return Record(record.timestamp_ns, record.data[: record.length], record.wire_length)
        if found < 0:
            raise self.error()
        raise StopIteration

    def __repr__(self):
        unit = "ns" if self.nanosecond else "us"
        return f"<PcapReader {self.path}: {self.size} bytes, {unit}, link type {self.link_type}>"


cdef class PcapWriter:
    """A pcap file to be written, created or emptied. `close` it: what is buffered is written then.

    snaplen: bytes to keep of each packet; nanosecond: timestamps in ns instead of us; link_type: 1 is Ethernet.
    Packets without a timestamp get the time of their burst. When a write fails (a full disk) the file is cut back to its
    last whole record, `error` keeps the errno, and everything later is refused. Raises PcapError and ConfigError.
    """

    def __cinit__(self, path, *, snaplen=MAX_CAPTURED, nanosecond=False, link_type=LINK_ETHERNET):
        self.fd = -1
        if not 1 <= snaplen <= MAX_CAPTURED:
            raise ConfigError(f"a snap length of {snaplen} bytes: from 1 to {MAX_CAPTURED} is possible")
        self.path = os.fspath(path)
        self.snaplen = snaplen
        self.nanosecond = nanosecond
        # A record that is being copied may pass BUFFER: the buffer is emptied after it.
        self.room = BUFFER
        cdef void *memory = NULL
        if posix_memalign(&memory, PAGE, BUFFER + RECORD_HEADER + MAX_CAPTURED):
            raise MemoryError("no memory for a pcap file's buffer")
        self.buffer = <uint8_t *> memory
        try:
            self.fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise PcapError(
                f"cannot write {self.path}: {error.strerror}: name a file in a folder you may write to"
            ) from None
        cdef uint32_t *header = <uint32_t *> self.buffer
        header[0] = MAGIC_NS if nanosecond else MAGIC_US
        header[1] = 2 | 4 << 16 if _LITTLE else 2 << 16 | 4
        header[2] = 0
        header[3] = 0
        header[4] = snaplen
        header[5] = link_type
        self.filled = FILE_HEADER

    def __dealloc__(self):
        if self.fd >= 0:
            self.flush_buffer()
            os.close(self.fd)
        free(self.buffer)

    cdef int write_burst(self, mbuf **pkts, uint16_t n) noexcept nogil:
        cdef uint64_t stamp, last = 0, now = 0
        cdef uint32_t keep, seconds = 0, fraction = 0
        cdef uint32_t unit = 1 if self.nanosecond else 1000
        cdef uint32_t header[4]
        cdef const mbuf *m
        cdef int i
        if unlikely(self.error or self.fd < 0):
            return 0
        for i in range(n):
            m = pkts[i]
            stamp = arrival_ns(m)
            if stamp == 0:
                if now == 0:
                    now = wall_ns()
                stamp = now
            if stamp != last:
                last = stamp
                seconds = <uint32_t> (stamp // NS)
                fraction = <uint32_t> (stamp - <uint64_t> seconds * NS) // unit
            keep = min(m.pkt_len, self.snaplen)
            header[0] = seconds
            header[1] = fraction
            header[2] = keep
            header[3] = m.pkt_len
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
        cdef uint32_t wire
        while at < self.filled:
            wire = word(self.buffer + at + 12, False)
            at += RECORD_HEADER + word(self.buffer + at + 8, False)
            if at <= done:
                whole = at
            else:
                gone += 1
                self.lost_bytes += wire
        self.written += whole
        self.frames -= gone
        self.lost += gone
        self.filled = 0
        # What is no regular file (a pipe) cannot be cut: its reader sees a truncated record.
        if ftruncate(self.fd, self.written) == 0:
            lseek(self.fd, self.written, SEEK_SET)

    def write(self, frame, timestamp_ns=0):
        """Append one frame (bytes). timestamp_ns: ns since the epoch, 0 for now. Raises PcapError when it cannot."""
        cdef bytes raw = memoryview(frame).tobytes()
        cdef mbuf m  # on the stack, its data where these bytes are
        cdef mbuf *pkt = &m
        if len(raw) > UINT16_MAX:
            raise ConfigError(f"a frame of {len(raw)} bytes: at most {UINT16_MAX} are possible")
        m.next = NULL
        m.ol_flags = 0
        set_arrival(&m, timestamp_ns)
        m.pkt_len = <uint32_t> len(raw)
        m.data_len = <uint16_t> len(raw)
        m.data_off = 0
        m.buf_addr = <void *> <const char *> raw
        if self.write_burst(&pkt, 1) != 1 or self.error:
            self._raise()

    def flush(self):
        """Hand everything to the kernel. Raises PcapError when it does not take it."""
        if self.flush_buffer():
            self._raise()

    def close(self):
        """Write what is buffered and close. Raises PcapError when that fails or an earlier write had failed."""
        if self.fd >= 0:
            self.flush_buffer()
            try:
                os.close(self.fd)
            except OSError as error:
                self.error = self.error or error.errno
            self.fd = -1
            if self.error:
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
        raise self.failure() or PcapError(f"{self.path} is closed: open a new PcapWriter")

    @property
    def bytes(self):
        """Size of the file, with what is still buffered."""
        return self.written + self.filled

    @property
    def closed(self):
        """Whether it was closed."""
        return self.fd < 0

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def __repr__(self):
        return f"<PcapWriter {self.path}: {self.frames} frames, {self.bytes} bytes>"


cdef bint _LITTLE = sys.byteorder == "little"
