# SPDX-License-Identifier: BSD-3-Clause
"""What a NIC would have done with a frame of the kernel's: finish its checksum, cut it up, put its VLAN tag in."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t


cdef enum:
    MAX_HEADERS = 256     # Ethernet, tags, IP with options or extension headers, TCP with options
    GSO_TCP4 = 1          # the kernel's words for what a large frame is (struct virtio_net_hdr)
    GSO_TCP6 = 4
    GSO_UDP = 5
    GSO_ECN = 0x80


cdef struct cutter_t:
    uint8_t head[MAX_HEADERS]  # of the next segment
    const uint8_t *payload     # what is still to be cut
    uint32_t left              # bytes of it
    uint32_t headers           # bytes in head
    uint32_t l3                # offsets in head
    uint32_t l4
    uint32_t segment           # bytes of payload in each segment but the last
    uint8_t protocol           # 6 or 17
    uint8_t last_flags         # of TCP: PSH and FIN, which only the last segment gets
    bint ipv6
    bint first


# Write the checksum of frame[start:length] to start + offset, where the pseudo header's sum lies. 0, or -1: not inside.
cdef int finish_checksum(uint8_t *frame, uint32_t length, uint32_t start, uint32_t offset) noexcept nogil

# Begin to cut a frame whose L4 header is at `l4` into segments of `size` bytes of payload. tag: a VLAN tag in network byte
# order (TPID, TCI) to put in, 0: none. 0, or -1: not a shape that can be cut.
cdef int cut_begin(
    cutter_t *cut, const uint8_t *frame, uint32_t length, uint8_t gso_type, uint32_t size, uint32_t l4, uint32_t tag
) noexcept nogil

# Bytes of the next segment, 0 after the last one.
cdef uint32_t cut_length(const cutter_t *cut) noexcept nogil

# Build the next segment in `to`, which has room for cut_length() bytes.
cdef void cut_next(cutter_t *cut, uint8_t *to) noexcept nogil
