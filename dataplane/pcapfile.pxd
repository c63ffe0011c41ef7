# SPDX-License-Identifier: BSD-3-Clause
"""The classic pcap file: a reader over a memory map and a buffered writer, both without the GIL."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from dataplane.mbuf cimport mbuf


cdef enum:
    FILE_HEADER = 24
    RECORD_HEADER = 16
    MAX_CAPTURED = 262144  # bytes a record may hold: what tcpdump and wireshark take for the end of reason
    NS = 1000000000


cdef extern from *:
    """
    #define dp_swap32 __builtin_bswap32
    """
    uint32_t dp_swap32(uint32_t) nogil


cdef inline uint32_t word(const uint8_t *at, bint swapped) noexcept nogil:
    """32 bits of a file whose byte order may not be the machine's."""
    cdef uint32_t value
    memcpy(&value, at, 4)
    return dp_swap32(value) if swapped else value


cdef struct record_t:
    const uint8_t *data
    uint64_t timestamp_ns
    uint32_t length       # bytes in the file
    uint32_t wire_length  # bytes on the wire


cdef class PcapReader:
    cdef const uint8_t *base
    cdef size_t size
    cdef size_t at         # offset of the next record
    cdef bint swapped
    cdef uint32_t fcs_bytes  # that end each frame, as the header says; 0 if it says nothing
    cdef bint damaged      # the record at `at` is not whole: error() says why
    cdef readonly bint nanosecond
    cdef readonly str path
    cdef readonly uint32_t snaplen
    cdef readonly uint32_t link_type
    cdef readonly uint64_t records  # read so far, since the last rewind
    cdef object _map
    cdef object _view  # NumPy's, of the map: keeps it in place

    # 1 and the next record, 0 at the end of the file, -1 (and `damaged`) where a record is not whole.
    cdef int next(self, record_t *record) noexcept nogil
    cdef void restart(self) noexcept nogil


cdef class PcapWriter:
    cdef readonly str path
    cdef readonly uint32_t snaplen
    cdef readonly bint nanosecond
    cdef readonly int error          # errno of the write that failed, 0: all is well
    cdef readonly uint64_t frames    # in the file or in the buffer
    cdef readonly uint64_t lost      # taken, and lost with the buffer when a write failed
    cdef readonly uint64_t lost_bytes  # what those had on the wire
    cdef int fd
    cdef uint8_t *buffer
    cdef size_t room
    cdef size_t filled
    cdef uint64_t written            # bytes in the file

    # Append up to n packets; returns how many it took: fewer only when `error` is set. The caller keeps the mbufs.
    cdef int write_burst(self, mbuf **pkts, uint16_t n) noexcept nogil
    # Hand the buffer to the kernel. 0, or the errno, which `error` keeps.
    cdef int flush_buffer(self) noexcept nogil
    cdef void _cut_back(self, size_t done) noexcept nogil
