/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The 82599's descriptors for C: 16 bytes, little-endian (datasheet 7.1.5, 7.1.6, 7.2.3).
 * The same numbers, with what they mean, are in descriptors.py; a test compares the two files.
 */
#ifndef HW82599_H
#define HW82599_H

#include <stddef.h>
#include <stdint.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "descriptors are little-endian and so must the host be"
#endif

/* ---- receive ---- */

struct hw_rx_read {     /* driver to NIC, advanced                                         */
    uint64_t packet;    /*  0 IOVA of the packet buffer                                    */
    uint64_t header;    /*  8 IOVA of the header buffer; 0 with one buffer                 */
};

struct hw_rx_writeback { /* NIC to driver, advanced                                        */
    uint32_t info;      /*  0 RSS type, packet type, header length                         */
    uint32_t rss_hash;  /*  4                                                              */
    uint32_t status;    /*  8 HW_RXD_STAT_*, HW_RXD_ERR_*; DD is written last              */
    uint16_t length;    /* 12 bytes in this buffer                                         */
    uint16_t vlan;      /* 14                                                              */
};

struct hw_rx_legacy {
    uint64_t address;   /*  0                                                              */
    uint16_t length;    /*  8                                                              */
    uint16_t checksum;  /* 10                                                              */
    uint8_t status;     /* 12 the low byte of HW_RXD_STAT_*                                */
    uint8_t errors;     /* 13 HW_RXD_LEGACY_ERR_*                                          */
    uint16_t vlan;      /* 14                                                              */
};

union hw_rx_desc {
    struct hw_rx_read read;
    struct hw_rx_writeback wb;
    struct hw_rx_legacy legacy;
    uint64_t qword[2];
};

_Static_assert(sizeof(union hw_rx_desc) == 16, "a descriptor is 16 bytes");
_Static_assert(offsetof(struct hw_rx_writeback, status) == 8, "status is the third word");
_Static_assert(offsetof(struct hw_rx_writeback, length) == 12, "length follows status");
_Static_assert(offsetof(struct hw_rx_legacy, status) == 12, "legacy status is byte 12");

/* ---- transmit ---- */

struct hw_tx_data {     /* advanced data, and legacy                                       */
    uint64_t address;   /*  0 IOVA                                                         */
    uint32_t lower;     /*  8 length, type, HW_TXD_CMD_*                                   */
    uint32_t upper;     /* 12 status, context, HW_TXD_POPTS_*, total length                */
};

struct hw_tx_context {
    uint32_t lengths;   /*  0 IPLEN, MACLEN, VLAN                                          */
    uint32_t ipsec;     /*  4                                                              */
    uint32_t command;   /*  8 HW_TXC_TUCMD_*, HW_TXD_DTYP_CTX, HW_TXD_CMD_DEXT             */
    uint32_t slot;      /* 12 IDX, L4LEN, MSS                                              */
};

union hw_tx_desc {
    struct hw_tx_data data;
    struct hw_tx_context context;
    uint64_t qword[2];
};

_Static_assert(sizeof(union hw_tx_desc) == 16, "a descriptor is 16 bytes");
_Static_assert(offsetof(struct hw_tx_data, upper) == 12, "DD is in the last word");
_Static_assert(offsetof(struct hw_tx_context, command) == 8, "DTYP and DEXT lie where data has them");

/* Advanced receive, written back: status and errors (7.1.6.2) */
#define HW_RXD_STAT_DD             (1u << 0)
#define HW_RXD_STAT_EOP            (1u << 1)
#define HW_RXD_STAT_FLM            (1u << 2)
#define HW_RXD_STAT_VP             (1u << 3)
#define HW_RXD_STAT_UDPCS          (1u << 4)
#define HW_RXD_STAT_L4CS           (1u << 5)
#define HW_RXD_STAT_IPCS           (1u << 6)
#define HW_RXD_STAT_PIF            (1u << 7)
#define HW_RXD_STAT_VEXT           (1u << 9)
#define HW_RXD_STAT_UDPV           (1u << 10)
#define HW_RXD_STAT_LLINT          (1u << 11)
#define HW_RXD_STAT_TS             (1u << 16)
#define HW_RXD_STAT_SECP           (1u << 17)
#define HW_RXD_STAT_LB             (1u << 18)
#define HW_RXD_NEXTP_SHIFT         4
#define HW_RXD_NEXTP_MASK          0x000FFFF0u
#define HW_RXD_ERR_FDIR_LEN        (1u << 20)
#define HW_RXD_ERR_FDIR_DROP       (1u << 21)
#define HW_RXD_ERR_FDIR_COLL       (1u << 22)
#define HW_RXD_ERR_HBO             (1u << 23)
#define HW_RXD_ERR_RXE             (1u << 29)
#define HW_RXD_ERR_L4E             (1u << 30)
#define HW_RXD_ERR_IPE             (1u << 31)

/* Advanced receive, written back: the first word */
#define HW_RXD_RSS_TYPE_MASK       0x0000000Fu
#define HW_RXD_PKT_TYPE_SHIFT      4
#define HW_RXD_PKT_TYPE_MASK       0x0001FFF0u
#define HW_RXD_RSCCNT_SHIFT        17
#define HW_RXD_RSCCNT_MASK         0x001E0000u
#define HW_RXD_HDR_LEN_SHIFT       21
#define HW_RXD_HDR_LEN_MASK        0x7FE00000u
#define HW_RXD_SPH                 (1u << 31)
#define HW_RXD_PTYPE_IPV4          (1u << 4)
#define HW_RXD_PTYPE_IPV4_EX       (1u << 5)
#define HW_RXD_PTYPE_IPV6          (1u << 6)
#define HW_RXD_PTYPE_IPV6_EX       (1u << 7)
#define HW_RXD_PTYPE_TCP           (1u << 8)
#define HW_RXD_PTYPE_UDP           (1u << 9)
#define HW_RXD_PTYPE_SCTP          (1u << 10)
#define HW_RXD_PTYPE_NFS           (1u << 11)
#define HW_RXD_PTYPE_ESP           (1u << 12)
#define HW_RXD_PTYPE_AH            (1u << 13)
#define HW_RXD_PTYPE_LINKSEC       (1u << 14)
#define HW_RXD_PTYPE_ETQF          (1u << 15)
#define HW_RXD_PTYPE_ETQF_SHIFT    4
#define HW_RXD_PTYPE_ETQF_MASK     0x00000070u
#define HW_RXD_RSS_NONE            0
#define HW_RXD_RSS_TCP_IPV4        1
#define HW_RXD_RSS_IPV4            2
#define HW_RXD_RSS_TCP_IPV6        3
#define HW_RXD_RSS_IPV6_EX         4
#define HW_RXD_RSS_IPV6            5
#define HW_RXD_RSS_TCP_IPV6_EX     6
#define HW_RXD_RSS_UDP_IPV4        7
#define HW_RXD_RSS_UDP_IPV6        8
#define HW_RXD_RSS_UDP_IPV6_EX     9
#define HW_RXD_RSS_DIRECTOR        15

/* Legacy receive (7.1.5): status and errors are bytes */
#define HW_RXD_LEGACY_ERR_RXE      (1u << 0)
#define HW_RXD_LEGACY_ERR_TCPE     (1u << 6)
#define HW_RXD_LEGACY_ERR_IPE      (1u << 7)

/* Legacy transmit (7.2.3.2.2): in the lower word */
#define HW_TXD_LEN_MASK            0x0000FFFFu
#define HW_TXD_CSO_SHIFT           16
#define HW_TXD_CSO_MASK            0x00FF0000u
#define HW_TXD_CMD_EOP             (1u << 24)
#define HW_TXD_CMD_IFCS            (1u << 25)
#define HW_TXD_CMD_IC              (1u << 26)
#define HW_TXD_CMD_RS              (1u << 27)
#define HW_TXD_CMD_DEXT            (1u << 29)
#define HW_TXD_CMD_VLE             (1u << 30)
#define HW_TXD_CMD_TSE             (1u << 31)
#define HW_TXD_CSS_SHIFT           8
#define HW_TXD_CSS_MASK            0x0000FF00u
#define HW_TXD_VLAN_SHIFT          16
#define HW_TXD_STAT_DD             (1u << 0)

/* Advanced transmit, data (7.2.3.2.4): lower word */
#define HW_TXD_DTYP_SHIFT          20
#define HW_TXD_DTYP_MASK           0x00F00000u
#define HW_TXD_DTYP_CTX            0x00200000u
#define HW_TXD_DTYP_DATA           0x00300000u
#define HW_TXD_MAC_LINKSEC         (1u << 18)
#define HW_TXD_MAC_1588            (1u << 19)
#define HW_TXD_IDX_SHIFT           4
#define HW_TXD_IDX_MASK            0x00000070u
#define HW_TXD_CC                  (1u << 7)
#define HW_TXD_POPTS_IXSM          (1u << 8)
#define HW_TXD_POPTS_TXSM          (1u << 9)
#define HW_TXD_POPTS_IPSEC         (1u << 10)
#define HW_TXD_PAYLEN_SHIFT        14
#define HW_TXD_PAYLEN_MASK         0xFFFFC000u

/* Advanced transmit, context (7.2.3.2.3): the four 32-bit words */
#define HW_TXC_IPLEN_MASK          0x000001FFu
#define HW_TXC_MACLEN_SHIFT        9
#define HW_TXC_MACLEN_MASK         0x0000FE00u
#define HW_TXC_VLAN_SHIFT          16
#define HW_TXC_TUCMD_SNAP          (1u << 9)
#define HW_TXC_TUCMD_IPV4          (1u << 10)
#define HW_TXC_TUCMD_L4T_SHIFT     11
#define HW_TXC_TUCMD_L4T_MASK      0x00001800u
#define HW_TXC_TUCMD_UDP           0x00000000u
#define HW_TXC_TUCMD_TCP           0x00000800u
#define HW_TXC_TUCMD_SCTP          0x00001000u
#define HW_TXC_IDX_SHIFT           4
#define HW_TXC_IDX_MASK            0x00000070u
#define HW_TXC_L4LEN_SHIFT         8
#define HW_TXC_L4LEN_MASK          0x0000FF00u
#define HW_TXC_MSS_SHIFT           16

#endif
