# SPDX-License-Identifier: BSD-3-Clause
"""The classic pcap file: a buffered reader and a buffered writer, both without the GIL."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from dataplane.mbuf cimport mbuf
from dataplane.files.record cimport record_t


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


cdef inline uint64_t record_time(const uint8_t *header, bint swapped, uint32_t unit_ns) noexcept nogil:
    """The time in a record's header, ns since the epoch. unit_ns: of the header's second word."""
    return <uint64_t> word(header, swapped) * NS + <uint64_t> word(header + 4, swapped) * unit_ns


cdef class PcapReader:
    cdef uint8_t *buffer   # a part of the file, or all of it
    cdef size_t room       # bytes it may hold
    cdef size_t size       # bytes it holds
    cdef size_t at         # of the next record in it
    cdef uint64_t offset   # of the buffer in the file
    cdef uint64_t most     # the largest size that the file has been seen to have
    cdef int fd
    cdef int failed        # errno of a read
    cdef bint swapped
    cdef bint preloaded    # all of the file is in the buffer
    cdef bint damaged      # reading stopped at `at` for a reason that error() gives
    cdef bint cut          # which is: the file has become shorter than it was
    cdef readonly bint nanosecond
    cdef uint32_t fcs_bytes  # that end each frame, as the header says; 0 if it says nothing
    cdef readonly str path
    cdef readonly uint32_t snaplen
    cdef readonly uint32_t link_type
    cdef readonly uint64_t records  # read so far, since the last rewind
    cdef object _claim

    # 1 and the next record, whose data are there until the next call; 0 at the end of the file; -1 (and `damaged`) where a
    # record is not whole.
    cdef int next(self, record_t *record) noexcept nogil
    # Step back over a record of `length` bytes in the file that `next` has just given.
    cdef void unread(self, uint32_t length) noexcept nogil
    cdef void restart(self) noexcept nogil
    # Take the FCS off a record, if the file says that there is one.
    cdef void take_off_fcs(self, record_t *record) noexcept nogil
    # Read until `need` bytes are there from `at` on. False at the end of the file, or when it cannot be read.
    cdef bint more(self, size_t need) noexcept nogil
    cdef int _end(self) noexcept nogil


cdef class PcapWriter:
    cdef readonly str path
    cdef readonly uint32_t snaplen
    cdef readonly bint nanosecond
    cdef readonly int error          # errno of the write that failed, 0: all is well
    cdef readonly uint64_t frames    # in the file or in the buffer
    cdef readonly uint64_t lost      # taken, and lost with the buffer when a write failed
    cdef readonly uint64_t lost_bytes  # what those had in their packets
    cdef uint32_t link_type
    cdef int fd                      # -1: not open yet, or closed
    cdef uint8_t *buffer
    cdef size_t room
    cdef size_t filled
    cdef uint64_t written            # bytes in the file
    cdef object _output

    # Append up to n packets; returns how many it took: fewer only when `error` is set or the file is not open. The caller
    # keeps the mbufs.
    cdef int write_burst(self, mbuf **pkts, uint16_t n) noexcept nogil
    # Hand the buffer to the kernel. 0, or the errno, which `error` keeps.
    cdef int flush_buffer(self) noexcept nogil
    cdef void _cut_back(self, size_t done) noexcept nogil
