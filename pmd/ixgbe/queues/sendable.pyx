# SPDX-License-Identifier: BSD-3-Clause
"""Checks whether the chip can send a packet (datasheet 7.2.3.2.4, 8.2.3.22.13), for packets unlike the one before."""

from libc.stdint cimport uint8_t
from libc.string cimport memset

from dataplane.limits cimport ETHERNET_HEADER_BYTES, VLAN_TAG_BYTES
from dataplane.mbuf cimport TX_TCP_CSUM, TX_TSO, TX_UDP_CSUM, data
from dataplane.pmd.datasheet.limits cimport TX_PACKET_MIN_WITHOUT_FCS_BYTES
from dataplane.pmd.ixgbe.queues.kernels cimport CHECKSUMS


cdef bint pad(mbuf *m) noexcept nogil:
    """Append zeros to a frame that is too short for the chip. The MAC pads it to 60 bytes anyway (7.2.3.2.4)."""
    cdef uint32_t length = m.data_len
    if m.next != NULL or length < ETHERNET_HEADER_BYTES or m.data_off + TX_PACKET_MIN_WITHOUT_FCS_BYTES > m.buf_len:
        return False
    memset(data(m) + length, 0, TX_PACKET_MIN_WITHOUT_FCS_BYTES - length)
    m.pkt_len = m.data_len = TX_PACKET_MIN_WITHOUT_FCS_BYTES
    return True


cdef bint fits(mbuf *m, uint32_t frame_max) noexcept nogil:
    """Whether a context descriptor can describe the offloads, and the frames are not too long (8.2.3.22.13)."""
    cdef uint32_t headers
    if m.ol_flags & CHECKSUMS and (
        not ETHERNET_HEADER_BYTES <= m.l2_len <= 127 or not 20 <= m.l3_len <= 511 or m.pkt_len < headers_of(m)
    ):
        return False
    if m.ol_flags & TX_TSO:
        headers = m.l2_len + m.l3_len + m.l4_len
        return (
            20 <= m.l4_len <= 60 and headers < m.pkt_len < 1 << 18 and 0 < m.tso_segsz <= frame_max - headers
        )
    return m.pkt_len <= frame_max or m.pkt_len <= frame_max + tags(m)


cdef uint32_t headers_of(mbuf *m) noexcept nogil:
    """The fewest bytes of the headers whose checksums are computed."""
    cdef uint32_t l4 = 20 if m.ol_flags & (TX_TCP_CSUM | TX_TSO) else 8 if m.ol_flags & TX_UDP_CSUM else 0
    return m.l2_len + m.l3_len + l4


cdef uint32_t tags(mbuf *m) noexcept nogil:
    """Bytes of VLAN tags in the frame, at most two tags: MAXFRS does not count them."""
    cdef const uint8_t *frame = data(m)
    cdef uint32_t found = 0
    while found < 2 * VLAN_TAG_BYTES and m.data_len >= ETHERNET_HEADER_BYTES + found and (
        frame[12 + found] == 0x81 and frame[13 + found] == 0 or frame[12 + found] == 0x88 and frame[13 + found] == 0xA8
    ):
        found += VLAN_TAG_BYTES
    return found
