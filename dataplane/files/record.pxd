# SPDX-License-Identifier: BSD-3-Clause
"""A packet of a capture, whatever the format of the file: what readers give, what writers take, and what an mbuf keeps of it.

Time and lengths travel in the packet's mbuf (`timestamp_ns`, `cut_len`); link type and interface belong to the file.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from dataplane.mbuf cimport arrival_ns, has_arrival, mbuf, original_length, set_arrival, set_original_length


cdef struct record_t:
    const uint8_t *data    # the captured bytes; NULL for a packet whose mbuf has them
    uint64_t timestamp_ns  # since the epoch; valid with has_time
    uint32_t length        # bytes captured
    uint32_t original      # bytes on the wire: never fewer
    uint32_t link_type     # LINKTYPE_*, 1 is Ethernet
    uint32_t interface     # of the file, counted from 0; a classic pcap file has one
    bint has_time


cdef inline void note_record(mbuf *m, const record_t *record) noexcept nogil:
    """Put time and original length on a packet whose ol_flags and pkt_len are set."""
    if record.has_time:
        set_arrival(m, record.timestamp_ns)
    set_original_length(m, m.pkt_len + (record.original - record.length))


cdef inline void record_of(record_t *record, const mbuf *m) noexcept nogil:
    """Fill `record` from a packet: time and lengths. The writer adds the fields of its file format."""
    record.data = NULL
    record.has_time = has_arrival(m)
    record.timestamp_ns = arrival_ns(m)
    record.length = m.pkt_len
    record.original = original_length(m)


cdef inline bint is_long_gap(uint64_t wait_ns) noexcept nogil:
    """Whether a packet of a capture that is replayed with its timing is due so late that it must be said: in over a minute."""
    return wait_ns > <uint64_t> 60 * 1000000000
