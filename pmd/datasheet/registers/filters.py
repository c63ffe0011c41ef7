# SPDX-License-Identifier: BSD-3-Clause
"""Which frames are accepted, and to which queue they go (datasheet 8.2.3.7, 7.1.1, 7.1.2).

MAC, multicast, VLAN, RSS, 5-tuple, EtherType, SYN, checksums. Flow Director is in ``fdir``, pools are in
``virtualization``.
"""

from dataplane.pmd.register import RO, Alias, Register, bit, bits

# MRQC.MRQE: how a queue is chosen (datasheet 8.2.3.7.12)
MRQE_OFF, MRQE_RSS, MRQE_8TC, MRQE_4TC, MRQE_8TC_RSS, MRQE_4TC_RSS = range(6)
MRQE_64POOLS, MRQE_32POOLS_RSS, MRQE_64POOLS_RSS, MRQE_16POOLS_8TC, MRQE_32POOLS_4TC = 8, 10, 11, 12, 13
# FTQF.PROTOCOL
FTQF_TCP, FTQF_UDP, FTQF_SCTP, FTQF_OTHER = range(4)

# fmt: off
FCTRL     = Register("FCTRL",     0x05080, "8.2.3.7.1", SBP=bit[1], MPE=bit[8], UPE=bit[9], BAM=bit[10],
                     PMCF=bit[12], DPF=bit[13])  # PMCF, DPF: 82598's, drivers still set them
VLNCTRL   = Register("VLNCTRL",   0x05088, "8.2.3.7.2", reset=0x8100, VET=bits[15:0], CFI=bit[28],
                     CFIEN=bit[29], VFE=bit[30])
MCSTCTRL  = Register("MCSTCTRL",  0x05090, "8.2.3.7.3", MO=bits[1:0], MFE=bit[2])
RXCSUM    = Register("RXCSUM",    0x05000, "8.2.3.7.5", IPPCSE=bit[12], PCSD=bit[13])
RFCTL     = Register("RFCTL",     0x05008, "8.2.3.7.6", RSC_DIS=bit[5], NFSW_DIS=bit[6], NFSR_DIS=bit[7],
                     NFS_VERSION=bits[9:8], IPV6_DIS=bit[10], IPFRSP_DIS=bit[14])
RAL       = Register("RAL",       0x0A200, "8.2.3.7.8", count=128, step=8, alias=Alias(0x05400, 16, 8))
RAH       = Register("RAH",       0x0A204, "8.2.3.7.9", count=128, step=8, alias=Alias(0x05404, 16, 8),
                     ADDR=bits[15:0], ZERO=RO[30:16], AV=bit[31])
MPSAR_LO  = Register("MPSAR_LO",  0x0A600, "8.2.3.7.10", count=128, step=8)  # pools 0..31 of RAR n
MPSAR_HI  = Register("MPSAR_HI",  0x0A604, "8.2.3.7.10", count=128, step=8)  # pools 32..63
MTA       = Register("MTA",       0x05200, "8.2.3.7.7", count=128)
VFTA      = Register("VFTA",      0x0A000, "8.2.3.7.11", count=128)  # VLAN v: bit v % 32 of VFTA[v // 32]
# one per pool; RQPL = log2 of RSS queues
PSRTYPE   = Register("PSRTYPE",   0x0EA00, "8.2.3.7.4", count=64, alias=Alias(0x05480, 16), TCP=bit[4],
                     UDP=bit[5], IPV4=bit[8], IPV6=bit[9], L2=bit[12], RQPL=bits[31:29])

MRQC      = Register("MRQC",      0x0EC80, "8.2.3.7.12", alias=Alias(0x05818), MRQE=bits[3:0],
                     L3L4TXSWEN=bit[15], TCP_IPV4=bit[16], IPV4=bit[17], TCP_IPV6_EX=bit[18], IPV6_EX=bit[19],
                     IPV6=bit[20], TCP_IPV6=bit[21], UDP_IPV4=bit[22], UDP_IPV6=bit[23], UDP_IPV6_EX=bit[24])
RQTC      = Register("RQTC",      0x0EC70, "8.2.3.7.13")
RSSRK     = Register("RSSRK",     0x0EB80, "8.2.3.7.14", count=10, alias=Alias(0x05C80, 10))
RETA      = Register("RETA",      0x0EB00, "8.2.3.7.15", count=32, alias=Alias(0x05C00, 32), ENTRY0=bits[3:0],
                     ENTRY1=bits[11:8], ENTRY2=bits[19:16], ENTRY3=bits[27:24])

SAQF      = Register("SAQF",      0x0E000, "8.2.3.7.16", count=128)  # addresses as they lie in the packet
DAQF      = Register("DAQF",      0x0E200, "8.2.3.7.17", count=128)
SDPQF     = Register("SDPQF",     0x0E400, "8.2.3.7.18", count=128, SPORT=bits[15:0], DPORT=bits[31:16])
# a mask of 1 ignores that part; priority 7 wins
FTQF      = Register("FTQF",      0x0E600, "8.2.3.7.19", count=128, PROTOCOL=bits[1:0], PRIORITY=bits[4:2],
                     POOL=bits[13:8], SRC_MASK=bit[25], DST_MASK=bit[26], SPORT_MASK=bit[27],
                     DPORT_MASK=bit[28], PROTOCOL_MASK=bit[29], POOL_MASK=bit[30], ENABLE=bit[31])
L34TIMIR  = Register("L34TIMIR",  0x0E800, "8.2.3.7.20", count=128, SIZE_THRESH=bits[11:0], SIZE_BP=bit[12],
                     RESERVED=bits[19:13], LLI=bit[20], RX_QUEUE=bits[27:21])  # RESERVED must be 0x40
ETQF      = Register("ETQF",      0x05128, "8.2.3.7.21", count=8, ETYPE=bits[15:0], UP=bits[18:16],
                     UP_EN=bit[19], POOL=bits[25:20], POOL_EN=bit[26], FCOE=bit[27], BCN=bit[28],
                     IEEE1588=bit[30], FILTER_EN=bit[31])
ETQS      = Register("ETQS",      0x0EC00, "8.2.3.7.22", count=8, RX_QUEUE=bits[22:16], LLI=bit[29],
                     QUEUE_EN=bit[31])
SYNQF     = Register("SYNQF",     0x0EC30, "8.2.3.7", ENABLE=bit[0], RX_QUEUE=bits[7:1], SYNQFP=bit[31])
IMIRVP    = Register("IMIRVP",    0x0EC60, "8.2.3.7", alias=Alias(0x05AC0))
LLITHRESH = Register("LLITHRESH", 0x0EC90, "8.2.3.7")
