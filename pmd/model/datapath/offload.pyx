# SPDX-License-Identifier: BSD-3-Clause
"""Transmit offloads on a whole frame: checksums and the VLAN tag (datasheet 7.2.4.2, 7.2.5)."""

from libc.string cimport memmove

from dataplane.limits cimport ETHERNET_HEADER_BYTES, VLAN_TAG_BYTES
from dataplane.pmd.model.state.bytes cimport mdl_load16, mdl_store16, mdl_store32, mdl_swap16
from dataplane.pmd.model.state.checksum cimport crc32c, mdl_fold, mdl_sum

cdef enum:
    L4_UDP = 0  # context descriptor's L4T
    L4_TCP = 1
    L4_SCTP = 2
    # PFVMVIR.VLANA
    BY_DESCRIPTOR = 0
    ALWAYS = 1


cdef bint insert_ip_checksum(uint8_t *data, uint32_t n, const mdl_context *c) noexcept nogil:
    cdef uint8_t *header = data + c.mac_len
    if c.mac_len < ETHERNET_HEADER_BYTES or c.ip_len < 20 or c.mac_len + <uint32_t> c.ip_len > n:
        return False
    mdl_store16(header + 10, 0)
    mdl_store16(header + 10, <uint16_t> ~mdl_fold(mdl_sum(header, c.ip_len)))
    return True


cdef bint insert_l4_checksum(uint8_t *data, uint32_t n, const mdl_context *c) noexcept nogil:
    cdef uint32_t start = c.mac_len + <uint32_t> c.ip_len, offset
    cdef uint16_t sum
    if c.mac_len < ETHERNET_HEADER_BYTES or c.ip_len < 20:
        return False
    if c.l4_type == L4_SCTP:
        if start + 12 > n:
            return False
        mdl_store32(data + start + 8, crc32c(data + start, n - start, 8))
        return True
    offset = start + (16 if c.l4_type == L4_TCP else 6)
    if c.l4_type > L4_SCTP or offset + 2 > n:
        return False
    sum = <uint16_t> ~mdl_fold(mdl_sum(data + start, n - start))
    if sum == 0 and c.l4_type == L4_UDP:
        sum = 0xFFFF  # 0 would mean that the datagram has no checksum
    mdl_store16(data + offset, sum)
    return True


cdef bint insert_sum(uint8_t *data, uint32_t n, uint32_t start, uint32_t offset) noexcept nogil:
    if start >= n or offset + 2 > n:
        return False
    mdl_store16(data + offset, <uint16_t> ~mdl_fold(mdl_sum(data + start, n - start)))
    return True


cdef bint tag_frame(mdl_port *p, mdl_txq *q, bint asked, uint16_t tci, uint8_t *data, uint32_t *n) noexcept nogil:
    """CONFLICT: PFVMVIR overrides descriptors, and a pool with a port VLAN is said to send no tags of its own: a frame that
    has one, or asks for one, is dropped here.
    """
    cdef uint16_t etype = mdl_load16(data + 12)
    if q.tagging != BY_DESCRIPTOR:
        if asked or etype == p.filter.vet or etype == p.tx_vlan_type:
            return False
        asked, tci = q.tagging == ALWAYS, q.port_tag
    if asked:
        memmove(data + 16, data + 12, n[0] - 12)
        mdl_store16(data + 12, p.tx_vlan_type)
        mdl_store16(data + 14, mdl_swap16(tci))
        n[0] += VLAN_TAG_BYTES
    return True
