# SPDX-License-Identifier: BSD-3-Clause
"""Do the offloads of a NIC on a frame of the kernel: finish its checksum, cut it into segments, insert its VLAN tag.

A local TCP stack leaves these to the device that it sends by. One end of a veth does not do them: frames of up to 64 KiB
with an unfinished checksum arrive at the other end. Formats: RFC 791, 8200, 9293, 768; CRC32c of SCTP: RFC 9260.
"""

from libc.string cimport memcpy

from dataplane.errors import ConfigError


cdef extern from "<arpa/inet.h>" nogil:
    uint16_t htons(uint16_t)
    uint16_t ntohs(uint16_t)
    uint32_t htonl(uint32_t)
    uint32_t ntohl(uint32_t)


cdef enum:
    TCP = 6
    UDP = 17
    FIN = 0x01
    PSH = 0x08
    CWR = 0x80
    SCTP_CHECKSUM = 8  # its offset in the header; no other protocol's is there

cdef uint32_t _crc_table[256]


cdef void _fill_crc_table():
    cdef uint32_t value
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        _crc_table[byte] = value


_fill_crc_table()


cdef uint64_t _sum(const uint8_t *at, uint32_t length) noexcept nogil:
    """Words of 16 bits added up, as they lie in memory; an odd byte at the end is followed by a zero."""
    cdef uint64_t total = 0
    cdef uint32_t word, k
    cdef uint16_t half
    for k in range(length // 4):
        memcpy(&word, at + k * 4, 4)
        total += word
    at += length // 4 * 4
    if length & 2:
        memcpy(&half, at, 2)
        total += half
        at += 2
    if length & 1:
        half = 0
        memcpy(&half, at, 1)
        total += half
    return total


cdef uint16_t _fold(uint64_t total) noexcept nogil:
    """The Internet checksum of a sum; never 0, which UDP would take for none (RFC 768)."""
    total = <uint32_t> total + (total >> 32)
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    total = ~total & 0xFFFF
    return <uint16_t> total if total else 0xFFFF


cdef uint32_t _crc32c(const uint8_t *at, uint32_t length) noexcept nogil:
    cdef uint32_t crc = 0xFFFFFFFF, k
    for k in range(length):
        crc = crc >> 8 ^ _crc_table[(crc ^ at[k]) & 0xFF]
    return ~crc


cdef int finish_checksum(uint8_t *frame, uint32_t length, uint32_t start, uint32_t offset) noexcept nogil:
    cdef uint16_t checksum
    cdef uint32_t crc = 0
    if offset == SCTP_CHECKSUM:
        if <uint64_t> start + offset + 4 > length:
            return -1
        memcpy(frame + start + offset, &crc, 4)
        crc = _crc32c(frame + start, length - start)  # sent with its lowest byte first
        frame[start + offset] = crc & 0xFF
        frame[start + offset + 1] = crc >> 8 & 0xFF
        frame[start + offset + 2] = crc >> 16 & 0xFF
        frame[start + offset + 3] = crc >> 24
        return 0
    if <uint64_t> start + offset + 2 > length:
        return -1
    checksum = _fold(_sum(frame + start, length - start))
    memcpy(frame + start + offset, &checksum, 2)
    return 0


cdef uint16_t _half(const uint8_t *at) noexcept nogil:
    return <uint16_t> (at[0] << 8 | at[1])


cdef void _put_half(uint8_t *at, uint32_t value) noexcept nogil:
    at[0] = value >> 8 & 0xFF
    at[1] = value & 0xFF


cdef int _find_ip(const uint8_t *frame, uint32_t length, uint32_t l4, uint8_t protocol, bint *ipv6) noexcept nogil:
    """The offset of the IP header that l4 belongs to, or -1: it is not TCP or UDP right behind Ethernet, tags and IP."""
    cdef uint32_t at = 14, header
    cdef uint16_t ethertype = _half(frame + 12)
    cdef uint8_t following
    while ethertype in (0x8100, 0x88A8) and at + 4 <= length:
        ethertype = _half(frame + at + 2)
        at += 4
    if ethertype == 0x0800 and at + 20 <= l4:
        ipv6[0] = False
        return at if at + (frame[at] & 15) * 4 == l4 and frame[at + 9] == protocol else -1
    if ethertype == 0x86DD and at + 40 <= l4:
        ipv6[0] = True
        following = frame[at + 6]
        header = at + 40
        while header < l4 and following in (0, 43, 60):  # hop-by-hop, routing, destination options
            following = frame[header]
            header += (frame[header + 1] + 1) * 8
        return at if header == l4 and following == protocol else -1
    return -1


cdef int cut_begin(
    cutter_t *cut, const uint8_t *frame, uint32_t length, uint8_t gso_type, uint32_t size, uint32_t l4, uint32_t tag
) noexcept nogil:
    cdef uint32_t headers
    cdef int l3
    if l4 > length:
        return -1
    gso_type &= 0xFF ^ GSO_ECN
    if gso_type not in (GSO_TCP4, GSO_TCP6, GSO_UDP) or size == 0:
        return -1
    cut.protocol = UDP if gso_type == GSO_UDP else TCP
    headers = l4 + (8 if cut.protocol == UDP else 20)
    if headers > length or headers > MAX_HEADERS - 4 or l4 < 34:
        return -1
    if cut.protocol == TCP:
        headers = l4 + (frame[l4 + 12] >> 4) * 4
        if headers < l4 + 20 or headers > MAX_HEADERS - 4:
            return -1
    if headers >= length:
        return -1
    l3 = _find_ip(frame, length, l4, cut.protocol, &cut.ipv6)
    if l3 < 0:
        return -1
    cut.payload = frame + headers
    cut.left = length - headers
    cut.segment = size
    cut.first = True
    if tag:
        memcpy(cut.head, frame, 12)
        memcpy(cut.head + 12, &tag, 4)
        memcpy(cut.head + 16, frame + 12, headers - 12)
        l3 += 4
        l4 += 4
        headers += 4
    else:
        memcpy(cut.head, frame, headers)
    cut.headers = headers
    cut.l3 = l3
    cut.l4 = l4
    cut.last_flags = 0
    if cut.protocol == TCP:
        cut.last_flags = cut.head[l4 + 13] & (FIN | PSH)
        cut.head[l4 + 13] &= 0xFF ^ FIN ^ PSH
    return 0


cdef uint32_t cut_length(const cutter_t *cut) noexcept nogil:
    return cut.headers + min(cut.left, cut.segment) if cut.left else 0


cdef void cut_next(cutter_t *cut, uint8_t *to) noexcept nogil:
    cdef uint32_t size = min(cut.left, cut.segment)
    cdef uint32_t length = cut.headers + size
    cdef uint8_t *ip = cut.head + cut.l3
    cdef uint8_t *l4 = cut.head + cut.l4
    cdef uint32_t at = 16 if cut.protocol == TCP else 6
    cdef uint32_t sequence
    cdef uint16_t checksum
    cdef uint64_t total
    if cut.protocol == TCP and size == cut.left:
        l4[13] |= cut.last_flags
    if cut.protocol == UDP:
        _put_half(l4 + 4, length - cut.l4)
    if cut.ipv6:
        _put_half(ip + 4, length - cut.l3 - 40)
        total = _sum(ip + 8, 32)
    else:
        _put_half(ip + 2, length - cut.l3)
        _put_half(ip + 10, 0)
        checksum = _fold(_sum(ip, cut.l4 - cut.l3))
        memcpy(ip + 10, &checksum, 2)
        total = _sum(ip + 12, 8)
    # The pseudo header: addresses, protocol, length; then header and payload.
    _put_half(l4 + at, 0)
    total += htons(cut.protocol) + htons(<uint16_t> (length - cut.l4)) + _sum(l4, cut.headers - cut.l4)
    memcpy(to, cut.head, cut.headers)
    memcpy(to + cut.headers, cut.payload, size)
    checksum = _fold(total + _sum(to + cut.headers, size))
    memcpy(to + cut.l4 + at, &checksum, 2)
    # The headers of the next one.
    cut.payload += size
    cut.left -= size
    if not cut.ipv6:
        _put_half(ip + 4, _half(ip + 4) + 1)
    if cut.protocol == TCP:
        memcpy(&sequence, l4 + 4, 4)
        sequence = htonl(ntohl(sequence) + size)
        memcpy(l4 + 4, &sequence, 4)
        if cut.first:
            l4[13] &= 0xFF ^ CWR
    cut.first = False


def finished(frame, start, offset):
    """The frame (bytes) with its checksum finished. Raises ConfigError if the checksum is outside the frame."""
    cdef bytearray copy = bytearray(frame)
    if finish_checksum(copy, len(copy), start, offset):
        raise ConfigError(f"a checksum at {start} + {offset} of a frame of {len(copy)} bytes")
    return bytes(copy)


def segments(frame, gso_type, size, l4, vlan=b""):
    """The segments (a list of bytes) of a large frame, or None if it cannot be cut. vlan: four bytes of a tag to put in."""
    cdef bytes whole = bytes(frame)
    cdef cutter_t cut
    cdef uint32_t tag = 0
    cdef bytes room
    if vlan:
        if len(vlan) != 4:
            raise ConfigError(f"a VLAN tag of {len(vlan)} bytes: expected the four of TPID and TCI")
        memcpy(&tag, <const uint8_t *> <bytes> vlan, 4)
    if cut_begin(&cut, whole, len(whole), gso_type, size, l4, tag):
        return None
    made = []
    while (length := cut_length(&cut)):
        room = bytes(length)
        cut_next(&cut, room)
        made.append(room)
    return made
