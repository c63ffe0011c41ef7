# SPDX-License-Identifier: BSD-3-Clause
"""What the receive path recognises in a frame: tags, headers, checksums (datasheet 7.1.6.2, 7.1.11)."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from dataplane.pmd.model.state.filter cimport mdl_filter


cdef extern from "hw82599.h" nogil:
    enum:
        HW_RXD_STAT_DD
        HW_RXD_STAT_EOP
        HW_RXD_STAT_VP
        HW_RXD_STAT_UDPCS
        HW_RXD_STAT_L4CS
        HW_RXD_STAT_IPCS
        HW_RXD_STAT_PIF
        HW_RXD_STAT_VEXT
        HW_RXD_STAT_UDPV
        HW_RXD_STAT_TS
        HW_RXD_STAT_LB
    const uint32_t HW_RXD_ERR_RXE
    const uint32_t HW_RXD_ERR_L4E
    const uint32_t HW_RXD_ERR_IPE
    enum:
        HW_RXD_PTYPE_IPV4
        HW_RXD_PTYPE_IPV4_EX
        HW_RXD_PTYPE_IPV6
        HW_RXD_PTYPE_IPV6_EX
        HW_RXD_PTYPE_TCP
        HW_RXD_PTYPE_UDP
        HW_RXD_PTYPE_SCTP
        HW_RXD_PTYPE_ESP
        HW_RXD_PTYPE_AH
        HW_RXD_PTYPE_ETQF
        HW_RXD_PTYPE_ETQF_SHIFT
        HW_RXD_RSS_DIRECTOR
        HW_RXD_LEGACY_ERR_RXE
        HW_RXD_LEGACY_ERR_TCPE
        HW_RXD_LEGACY_ERR_IPE


cdef enum:
    PROTO_TCP = 6
    PROTO_UDP = 17
    PROTO_ESP = 50
    PROTO_AH = 51
    PROTO_SCTP = 132


cdef struct Parsed:
    uint32_t info  # packet type, where the descriptor has it
    uint32_t status  # bits of the descriptor's status and error word, without DD and EOP
    uint16_t tci  # of the tag that VLNCTRL.VET names; valid with VP in status
    uint16_t tag_at  # and where it is
    uint16_t etype  # behind the tags, host order
    uint16_t l3  # offset of the IP header; valid with ip
    uint16_t l4  # offset of the header behind it; 0: none, or a fragment
    uint16_t end  # where the IP packet ends; what follows is padding
    uint8_t ip  # 0, 4, 6
    uint8_t protocol  # behind the IP headers; valid with ip
    uint8_t fragment
    uint8_t extended  # IPv6 with extension headers


# Every access stays within the n bytes at data. p is zeroed first.
cdef void classify(const mdl_filter *f, const uint8_t *data, uint32_t n, Parsed *p) noexcept nogil

# RXCSUM.PCSD = 0: IP identification and, if asked for, the sum over a fragment's payload take the hash's place (7.1.11.2).
cdef uint32_t fragment_words(const uint8_t *data, bint payload_sum, Parsed *p) noexcept nogil
