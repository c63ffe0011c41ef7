# SPDX-License-Identifier: BSD-3-Clause
"""The descriptors of the 82599 for Cython: what ``hw82599.h`` defines."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from "hw82599.h" nogil:
    struct hw_rx_read:
        uint64_t packet
        uint64_t header

    struct hw_rx_writeback:
        uint32_t info
        uint32_t rss_hash
        uint32_t status
        uint16_t length
        uint16_t vlan

    struct hw_rx_legacy:
        uint64_t address
        uint16_t length
        uint16_t checksum
        uint8_t status
        uint8_t errors
        uint16_t vlan

    union hw_rx_desc:
        hw_rx_read read
        hw_rx_writeback wb
        hw_rx_legacy legacy
        uint64_t[2] qword

    struct hw_tx_data:
        uint64_t address
        uint32_t lower
        uint32_t upper

    struct hw_tx_context:
        uint32_t lengths
        uint32_t ipsec
        uint32_t command
        uint32_t slot

    union hw_tx_desc:
        hw_tx_data data
        hw_tx_context context
        uint64_t[2] qword

    const uint32_t HW_RXD_STAT_DD, HW_RXD_STAT_EOP, HW_RXD_STAT_FLM, HW_RXD_STAT_VP, HW_RXD_STAT_UDPCS
    const uint32_t HW_RXD_STAT_L4CS, HW_RXD_STAT_IPCS, HW_RXD_STAT_PIF, HW_RXD_STAT_VEXT, HW_RXD_STAT_UDPV
    const uint32_t HW_RXD_STAT_LLINT, HW_RXD_STAT_TS, HW_RXD_STAT_SECP, HW_RXD_STAT_LB, HW_RXD_NEXTP_SHIFT
    const uint32_t HW_RXD_NEXTP_MASK, HW_RXD_ERR_FDIR_LEN, HW_RXD_ERR_FDIR_DROP, HW_RXD_ERR_FDIR_COLL
    const uint32_t HW_RXD_ERR_HBO, HW_RXD_ERR_RXE, HW_RXD_ERR_L4E, HW_RXD_ERR_IPE, HW_RXD_RSS_TYPE_MASK
    const uint32_t HW_RXD_PKT_TYPE_SHIFT, HW_RXD_PKT_TYPE_MASK, HW_RXD_RSCCNT_SHIFT, HW_RXD_RSCCNT_MASK
    const uint32_t HW_RXD_HDR_LEN_SHIFT, HW_RXD_HDR_LEN_MASK, HW_RXD_SPH, HW_RXD_PTYPE_IPV4
    const uint32_t HW_RXD_PTYPE_IPV4_EX, HW_RXD_PTYPE_IPV6, HW_RXD_PTYPE_IPV6_EX, HW_RXD_PTYPE_TCP
    const uint32_t HW_RXD_PTYPE_UDP, HW_RXD_PTYPE_SCTP, HW_RXD_PTYPE_NFS, HW_RXD_PTYPE_ESP
    const uint32_t HW_RXD_PTYPE_AH, HW_RXD_PTYPE_LINKSEC, HW_RXD_PTYPE_ETQF, HW_RXD_PTYPE_ETQF_SHIFT
    const uint32_t HW_RXD_PTYPE_ETQF_MASK, HW_RXD_RSS_NONE, HW_RXD_RSS_TCP_IPV4, HW_RXD_RSS_IPV4
    const uint32_t HW_RXD_RSS_TCP_IPV6, HW_RXD_RSS_IPV6_EX, HW_RXD_RSS_IPV6, HW_RXD_RSS_TCP_IPV6_EX
    const uint32_t HW_RXD_RSS_UDP_IPV4, HW_RXD_RSS_UDP_IPV6, HW_RXD_RSS_UDP_IPV6_EX, HW_RXD_RSS_DIRECTOR
    const uint32_t HW_RXD_LEGACY_ERR_RXE
    const uint32_t HW_RXD_LEGACY_ERR_TCPE, HW_RXD_LEGACY_ERR_IPE
    const uint32_t HW_TXD_LEN_MASK, HW_TXD_CSO_SHIFT, HW_TXD_CSO_MASK, HW_TXD_CMD_EOP, HW_TXD_CMD_IFCS
    const uint32_t HW_TXD_CMD_IC, HW_TXD_CMD_RS, HW_TXD_CMD_DEXT, HW_TXD_CMD_VLE, HW_TXD_CMD_TSE
    const uint32_t HW_TXD_CSS_SHIFT, HW_TXD_CSS_MASK, HW_TXD_VLAN_SHIFT, HW_TXD_STAT_DD, HW_TXD_DTYP_SHIFT
    const uint32_t HW_TXD_DTYP_MASK, HW_TXD_DTYP_CTX, HW_TXD_DTYP_DATA, HW_TXD_MAC_LINKSEC
    const uint32_t HW_TXD_MAC_1588, HW_TXD_IDX_SHIFT, HW_TXD_IDX_MASK, HW_TXD_CC, HW_TXD_POPTS_IXSM
    const uint32_t HW_TXD_POPTS_TXSM, HW_TXD_POPTS_IPSEC, HW_TXD_PAYLEN_SHIFT, HW_TXD_PAYLEN_MASK
    const uint32_t HW_TXC_IPLEN_MASK, HW_TXC_MACLEN_SHIFT, HW_TXC_MACLEN_MASK, HW_TXC_VLAN_SHIFT
    const uint32_t HW_TXC_TUCMD_SNAP, HW_TXC_TUCMD_IPV4, HW_TXC_TUCMD_L4T_SHIFT, HW_TXC_TUCMD_L4T_MASK
    const uint32_t HW_TXC_TUCMD_UDP, HW_TXC_TUCMD_TCP, HW_TXC_TUCMD_SCTP, HW_TXC_IDX_SHIFT
    const uint32_t HW_TXC_IDX_MASK, HW_TXC_L4LEN_SHIFT, HW_TXC_L4LEN_MASK, HW_TXC_MSS_SHIFT
