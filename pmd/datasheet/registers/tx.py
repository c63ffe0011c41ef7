# SPDX-License-Identifier: BSD-3-Clause
"""Transmit: descriptor rings, packet buffers, scheduler (datasheet 8.2.3.9, 8.2.3.10, 8.2.3.12, 7.2)."""

from dataplane.pmd.register import RO, Register, bit, bits

# MTQC: how the 128 Tx queues are shared out (8.2.3.9.15); may change only while RTTDCS.ARBDIS is set
MTQC_64Q, MTQC_4TC, MTQC_8TC = 0x0, 0x9, 0xD
MTQC_64POOLS, MTQC_32POOLS, MTQC_32POOLS_4TC, MTQC_16POOLS_8TC = 0x6, 0xA, 0xB, 0xF

# fmt: off
TDBAL     = Register("TDBAL",     0x06000, "8.2.3.9.5", count=128, step=0x40, ZERO=RO[6:0])
TDBAH     = Register("TDBAH",     0x06004, "8.2.3.9.6", count=128, step=0x40)
TDLEN     = Register("TDLEN",     0x06008, "8.2.3.9.7", count=128, step=0x40, ZERO=RO[6:0],
                     LEN=bits[19:7])
DCA_TXCTRL = Register("DCA_TXCTRL", 0x0600C, "8.2.3.11.2", count=128, step=0x40, reset=0x2A00,
                     DESC_DCA=bit[5], DESC_RRO=bit[9], DESC_WRO=bit[11], DATA_RRO=bit[13], CPUID=bits[31:24])
TDH       = Register("TDH",       0x06010, "8.2.3.9.8", count=128, step=0x40, HEAD=bits[15:0])
TDT       = Register("TDT",       0x06018, "8.2.3.9.9", count=128, step=0x40, TAIL=bits[15:0])
TXDCTL    = Register("TXDCTL",    0x06028, "8.2.3.9.10", count=128, step=0x40, PTHRESH=bits[6:0],
                     HTHRESH=bits[14:8], WTHRESH=bits[22:16], ENABLE=bit[25], SWFLSH=bit[26])
TDWBAL    = Register("TDWBAL",    0x06038, "8.2.3.9.11", count=128, step=0x40, HEAD_WB_EN=bit[0],
                     SEQ_WB_EN=bit[1], ADDR=bits[31:2])
TDWBAH    = Register("TDWBAH",    0x0603C, "8.2.3.9.12", count=128, step=0x40)

DMATXCTL  = Register("DMATXCTL",  0x04A80, "8.2.3.9.2", reset=0x8100_0000, TE=bit[0], NS=bit[1], GDV=bit[3],
                     VT=bits[31:16])
DTXTCPFLGL = Register("DTXTCPFLGL", 0x04A88, "8.2.3.9.3", reset=0x0FF6_0FF6, FIRST=bits[11:0], MIDDLE=bits[27:16])
DTXTCPFLGH = Register("DTXTCPFLGH", 0x04A8C, "8.2.3.9.4", reset=0xF7F, LAST=bits[11:0])
# 256 bytes; 0xFFF without DCB
DTXMXSZRQ = Register("DTXMXSZRQ", 0x08100, "8.2.3.9.1", reset=0x010, MAX_BYTES=bits[11:0])
MTQC      = Register("MTQC",      0x08120, "8.2.3.9.15", RT_ENA=bit[0], VT_ENA=bit[1], NUM_TC_OR_Q=bits[3:2])
# SIZE in KiB
TXPBSIZE  = Register("TXPBSIZE",  0x0CC00, "8.2.3.9.13", count=8, reset=160 << 10, SIZE=bits[19:10])
TXPBTHRESH = Register("TXPBTHRESH", 0x04950, "8.2.3.9.16", count=8, reset={0: 0x96}, THRESH=bits[9:0])  # KiB
MNGTXMAP  = Register("MNGTXMAP",  0x0CD10, "8.2.3.9.14")
TIPG      = Register("TIPG",      0x0CB00, "8.2.3.9")
SECTXCTRL = Register("SECTXCTRL", 0x08800, "8.2.3.12", SECTX_DIS=bit[0], TX_DIS=bit[1])
SECTXSTAT = Register("SECTXSTAT", 0x08804, "8.2.3.12", RO, SECTX_RDY=bit[0], SECTX_OFF_DIS=bit[1],
                     ECC_TXERR=bit[2])  # OFF_DIS: the chip has no IPsec and no LinkSec
SECTXBUFFAF = Register("SECTXBUFFAF", 0x08808, "8.2.3.12")
SECTXMINIFG = Register("SECTXMINIFG", 0x08810, "8.2.3.12")

# The scheduler: rates and traffic classes. RTTDQSEL selects whose RTTDT1C and RTTBCNRC are seen.
RTTDCS    = Register("RTTDCS",    0x04900, "8.2.3.10.2", TDPAC=bit[0], VMPAC=bit[1], TDRM=bit[4],
                     ARBDIS=bit[6], BDPM=bit[22], BPBFSM=bit[23])
RTTDQSEL  = Register("RTTDQSEL",  0x04904, "8.2.3.10.13", QUEUE=bits[6:0])
RTTDT1C   = Register("RTTDT1C",   0x04908, "8.2.3.10.14", CRQ=bits[13:0])
RTTDT2C   = Register("RTTDT2C",   0x04910, "8.2.3.10.9", count=8)
RTTBCNRM  = Register("RTTBCNRM",  0x04980, "8.2.3.10")
RTTBCNRC  = Register("RTTBCNRC",  0x04984, "8.2.3.10.16", RF_DEC=bits[13:0], RF_INT=bits[23:14],
                     RS_ENA=bit[31])
RTTUP2TC  = Register("RTTUP2TC",  0x0C800, "8.2.3.10.5")
RTTPCS    = Register("RTTPCS",    0x0CD00, "8.2.3.10.3", TPPAC=bit[5], ARBDIS=bit[6], TPRM=bit[8],
                     ARBD=bits[31:22])
RTTPT2C   = Register("RTTPT2C",   0x0CD20, "8.2.3.10.10", count=8)
