# SPDX-License-Identifier: BSD-3-Clause
"""Receive: descriptor rings, buffers, DMA (datasheet 8.2.3.8, 8.2.3.11, 8.2.3.12, 7.1).

A queue's registers lie 0x40 apart, in two banks: queues 0..63 from 0x01000, 64..127 from 0x0D000.
"""

from dataplane.pmd.register import RO, Alias, Register, bit, bits

# SRRCTL.DESCTYPE
DESCTYPE_LEGACY, DESCTYPE_ADVANCED, DESCTYPE_SPLIT = range(3)
DESCTYPE_REPLICATION, DESCTYPE_SPLIT_ALWAYS = 4, 5

# fmt: off
# 128-byte aligned
RDBAL     = Register("RDBAL",     0x01000, "8.2.3.8.1", count=128, step=0x40, banks={64: 0x0D000},
                     ZERO=RO[6:0])
RDBAH     = Register("RDBAH",     0x01004, "8.2.3.8.2", count=128, step=0x40, banks={64: 0x0D004})
RDLEN     = Register("RDLEN",     0x01008, "8.2.3.8.3", count=128, step=0x40, banks={64: 0x0D008},
                     ZERO=RO[6:0], LEN=bits[19:7])  # bytes: a multiple of 128
DCA_RXCTRL = Register("DCA_RXCTRL", 0x0100C, "8.2.3.11.1", count=128, step=0x40, banks={64: 0x0D00C},
                     alias=Alias(0x02200, 16), reset=0xB200, DESC_DCA=bit[5], HEAD_DCA=bit[6],
                     DATA_DCA=bit[7], DESC_RRO=bit[9], RESERVED1=bit[12], DATA_WRO=bit[13], HEAD_WRO=bit[15],
                     CPUID=bits[31:24])
RDH       = Register("RDH",       0x01010, "8.2.3.8.4", count=128, step=0x40, banks={64: 0x0D010},
                     HEAD=bits[15:0])
# BSIZEPACKET in KiB, BSIZEHEADER in 64 bytes
SRRCTL    = Register("SRRCTL",    0x01014, "8.2.3.8.7", count=128, step=0x40, banks={64: 0x0D014},
                     reset=0x402, alias=Alias(0x02100, 16), BSIZEPACKET=bits[4:0], BSIZEHEADER=bits[13:8],
                     RDMTS=bits[24:22], DESCTYPE=bits[27:25], DROP_EN=bit[28])
RDT       = Register("RDT",       0x01018, "8.2.3.8.5", count=128, step=0x40, banks={64: 0x0D018},
                     TAIL=bits[15:0])
RXDCTL    = Register("RXDCTL",    0x01028, "8.2.3.8.6", count=128, step=0x40, banks={64: 0x0D028},
                     ENABLE=bit[25], SWFLSH=bit[26], VME=bit[30])
RSCCTL    = Register("RSCCTL",    0x0102C, "8.2.3.8.13", count=128, step=0x40, banks={64: 0x0D02C},
                     RSCEN=bit[0], TS_DIS=bit[1], MAXDESC=bits[3:2])

RXCTRL    = Register("RXCTRL",    0x03000, "8.2.3.8.10", RXEN=bit[0])
# CRCSTRIP = HLREG0.RXCRCSTRP
RDRXCTL   = Register("RDRXCTL",   0x02F00, "8.2.3.8.8", reset=0x0010_0008, CRCSTRIP=bit[1], DMAIDONE=RO[3],
                     RSCFRSTSIZE=bits[21:17], RSCACKC=bit[25], FCOE_WRFIX=bit[26])
# SIZE in KiB
RXPBSIZE  = Register("RXPBSIZE",  0x03C00, "8.2.3.8.9", count=8, reset=512 << 10, SIZE=bits[19:10])
RXMEMWRAP = Register("RXMEMWRAP", 0x03190, "8.2.3.8", RO)
RSCDBU    = Register("RSCDBU",    0x03028, "8.2.3.8.12", RSCFREEOFFSET=bits[6:0], RSCACKDIS=bit[7])
SECRXCTRL = Register("SECRXCTRL", 0x08D00, "8.2.3.12.5", SECRX_DIS=bit[0], RX_DIS=bit[1])
SECRXSTAT = Register("SECRXSTAT", 0x08D04, "8.2.3.12.6", RO, SECRX_RDY=bit[0], SECRX_OFF_DIS=bit[1],
                     ECC_RXERR=bit[2])

# Traffic classes (DCB): left at 0 with one class
RTRUP2TC  = Register("RTRUP2TC",  0x03020, "8.2.3.10.4")
RTRPCS    = Register("RTRPCS",    0x02430, "8.2.3.10.1", RRM=bit[1], RAC=bit[2], ARBDIS=bit[6])
RTRPT4C   = Register("RTRPT4C",   0x02140, "8.2.3.10.6", count=8)
