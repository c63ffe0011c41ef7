# SPDX-License-Identifier: BSD-3-Clause
"""Counters (datasheet 8.2.3.23): 32 bits, a read clears them, they stick at their maximum.

Byte counters have 36 bits in two registers, named in ``PAIRS``: read the low one first, then the high one
(bits 35:32). A section of ``8.2.3.23`` means the block's own list of registers.
"""

from dataplane.pmd.register import RC, Alias, Register, bits

# fmt: off
# Errors and losses
CRCERRS   = Register("CRCERRS",   0x04000, "8.2.3.23", RC)
ILLERRC   = Register("ILLERRC",   0x04004, "8.2.3.23", RC)
ERRBC     = Register("ERRBC",     0x04008, "8.2.3.23", RC)
MSPDC     = Register("MSPDC",     0x04010, "8.2.3.23", RC)
# no room in the packet buffer, per traffic class
RXMPC = MPC = Register("RXMPC",   0x03FA0, "8.2.3.23", RC, count=8)
RNBC      = Register("RNBC",      0x03FC0, "8.2.3.23", RC, count=8)  # an 82598 counter: stays 0
MLFC      = Register("MLFC",      0x04034, "8.2.3.23", RC)
MRFC      = Register("MRFC",      0x04038, "8.2.3.23", RC)
RLEC      = Register("RLEC",      0x04040, "8.2.3.23", RC)
RUC       = Register("RUC",       0x040A4, "8.2.3.23", RC)  # under 64 bytes, good CRC
RFC       = Register("RFC",       0x040A8, "8.2.3.23", RC)  # under 64 bytes, bad CRC
ROC       = Register("ROC",       0x040AC, "8.2.3.23", RC)  # too long, good CRC
RJC       = Register("RJC",       0x040B0, "8.2.3.23", RC)  # too long, bad CRC
XEC       = Register("XEC",       0x04120, "8.2.3.23", RC)
SSVPC     = Register("SSVPC",     0x08780, "8.2.3.23", RC)  # anti-spoofing drops of pools in VMECM

# Flow control
LXONTXC   = Register("LXONTXC",   0x03F60, "8.2.3.23", RC)
LXOFFTXC  = Register("LXOFFTXC",  0x03F68, "8.2.3.23", RC)
LXONRXCNT = Register("LXONRXCNT", 0x041A4, "8.2.3.23", RC, COUNT=bits[15:0])
LXOFFRXCNT = Register("LXOFFRXCNT", 0x041A8, "8.2.3.23", RC, COUNT=bits[15:0])
PXONRXCNT = Register("PXONRXCNT", 0x04140, "8.2.3.23", RC, count=8)
PXOFFRXCNT = Register("PXOFFRXCNT", 0x04160, "8.2.3.23", RC, count=8)
PXONTXC   = Register("PXONTXC",   0x03F00, "8.2.3.23", RC, count=8)
PXOFFTXC  = Register("PXOFFTXC",  0x03F20, "8.2.3.23", RC, count=8)
PXON2OFFCNT = Register("PXON2OFFCNT", 0x03240, "8.2.3.23", RC, count=8)

# Received, at the MAC
PRC64     = Register("PRC64",     0x0405C, "8.2.3.23", RC)
PRC127    = Register("PRC127",    0x04060, "8.2.3.23", RC)
PRC255    = Register("PRC255",    0x04064, "8.2.3.23", RC)
PRC511    = Register("PRC511",    0x04068, "8.2.3.23", RC)
PRC1023   = Register("PRC1023",   0x0406C, "8.2.3.23", RC)
PRC1522   = Register("PRC1522",   0x04070, "8.2.3.23", RC)  # 1024 and longer
GPRC      = Register("GPRC",      0x04074, "8.2.3.23.26", RC)  # CONFLICT: a summary says RO; cards clear it
BPRC      = Register("BPRC",      0x04078, "8.2.3.23", RC)
MPRC      = Register("MPRC",      0x0407C, "8.2.3.23", RC)
GORCL     = Register("GORCL",     0x04088, "8.2.3.23", RC)
GORCH     = Register("GORCH",     0x0408C, "8.2.3.23", RC, HIGH=bits[3:0])
TORL      = Register("TORL",      0x040C0, "8.2.3.23", RC)
TORH      = Register("TORH",      0x040C4, "8.2.3.23", RC, HIGH=bits[3:0])
TPR       = Register("TPR",       0x040D0, "8.2.3.23.59", RC)
MNGPRC    = Register("MNGPRC",    0x040B4, "8.2.3.23", RC)
MNGPDC    = Register("MNGPDC",    0x040B8, "8.2.3.23", RC)

# Sent, at the MAC
GPTC      = Register("GPTC",      0x04080, "8.2.3.23", RC)
GOTCL     = Register("GOTCL",     0x04090, "8.2.3.23", RC)
GOTCH     = Register("GOTCH",     0x04094, "8.2.3.23", RC, HIGH=bits[3:0])
TPT       = Register("TPT",       0x040D4, "8.2.3.23", RC)
PTC64     = Register("PTC64",     0x040D8, "8.2.3.23", RC)
PTC127    = Register("PTC127",    0x040DC, "8.2.3.23", RC)
PTC255    = Register("PTC255",    0x040E0, "8.2.3.23", RC)
PTC511    = Register("PTC511",    0x040E4, "8.2.3.23", RC)
PTC1023   = Register("PTC1023",   0x040E8, "8.2.3.23", RC)
PTC1522   = Register("PTC1522",   0x040EC, "8.2.3.23", RC)  # 1024 and longer
MPTC      = Register("MPTC",      0x040F0, "8.2.3.23", RC)
BPTC      = Register("BPTC",      0x040F4, "8.2.3.23", RC)
MNGPTC    = Register("MNGPTC",    0x0CF90, "8.2.3.23", RC)

# At the filters and at DMA
RXNFGPC   = Register("RXNFGPC",   0x041B0, "8.2.3.23", RC)
RXNFGBCL  = Register("RXNFGBCL",  0x041B4, "8.2.3.23", RC)
RXNFGBCH  = Register("RXNFGBCH",  0x041B8, "8.2.3.23", RC, HIGH=bits[3:0])
# whose packets RXDGPC counts; 0x10: all
RXDSTATCTRL = Register("RXDSTATCTRL", 0x02F40, "8.2.3.23", QSEL=bits[4:0])
RXDGPC    = Register("RXDGPC",    0x02F50, "8.2.3.23", RC)
RXDGBCL   = Register("RXDGBCL",   0x02F54, "8.2.3.23", RC)
RXDGBCH   = Register("RXDGBCH",   0x02F58, "8.2.3.23", RC, HIGH=bits[3:0])
RXDDGPC   = Register("RXDDGPC",   0x02F5C, "8.2.3.23", RC)  # copies by replication and mirroring
RXDDGBCL  = Register("RXDDGBCL",  0x02F60, "8.2.3.23", RC)
RXDDGBCH  = Register("RXDDGBCH",  0x02F64, "8.2.3.23", RC, HIGH=bits[3:0])
RXLPBKGPC = Register("RXLPBKGPC", 0x02F68, "8.2.3.23", RC)  # from a pool of this port
RXLPBKGBCL = Register("RXLPBKGBCL", 0x02F6C, "8.2.3.23", RC)
RXLPBKGBCH = Register("RXLPBKGBCH", 0x02F70, "8.2.3.23", RC, HIGH=bits[3:0])
RXDLPBKGPC = Register("RXDLPBKGPC", 0x02F74, "8.2.3.23", RC)
RXDLPBKGBCL = Register("RXDLPBKGBCL", 0x02F78, "8.2.3.23", RC)
RXDLPBKGBCH = Register("RXDLPBKGBCH", 0x02F7C, "8.2.3.23", RC, HIGH=bits[3:0])
TXDGPC    = Register("TXDGPC",    0x087A0, "8.2.3.23", RC)
TXDGBCL   = Register("TXDGBCL",   0x087A4, "8.2.3.23", RC)
TXDGBCH   = Register("TXDGBCH",   0x087A8, "8.2.3.23", RC, HIGH=bits[3:0])

# FCoE
FCCRC     = Register("FCCRC",     0x05118, "8.2.3.23", RC)
FCOERPDC  = Register("FCOERPDC",  0x0241C, "8.2.3.23", RC)
FCLAST    = Register("FCLAST",    0x02424, "8.2.3.23", RC)
FCOEPRC   = Register("FCOEPRC",   0x02428, "8.2.3.23", RC)
FCOEDWRC  = Register("FCOEDWRC",  0x0242C, "8.2.3.23", RC)
FCOEPTC   = Register("FCOEPTC",   0x08784, "8.2.3.23", RC)
FCOEDWTC  = Register("FCOEDWTC",  0x08788, "8.2.3.23", RC)

# Queues have 16 sets of counters. RQSMR and TQSM say in which set each counts, 4 queues a register; at reset
# all are in set 0.
RQSMR     = Register("RQSMR",     0x02300, "8.2.3.23", count=32, Q0=bits[3:0], Q1=bits[11:8], Q2=bits[19:16],
                     Q3=bits[27:24])
TQSM      = Register("TQSM",      0x08600, "8.2.3.23", count=32, Q0=bits[3:0], Q1=bits[11:8], Q2=bits[19:16],
                     Q3=bits[27:24])
# CONFLICT: the 82598 had TQSM at 0x07300; on the 82599 that is TDBAL[76], so it is no alias here.
QPRC      = Register("QPRC",      0x01030, "8.2.3.23", RC, count=16, step=0x40)
QBRC_L    = Register("QBRC_L",    0x01034, "8.2.3.23", RC, count=16, step=0x40)
QBRC_H    = Register("QBRC_H",    0x01038, "8.2.3.23", RC, count=16, step=0x40, HIGH=bits[3:0])
QPRDC     = Register("QPRDC",     0x01430, "8.2.3.23", RC, count=16, step=0x40)
QPTC      = Register("QPTC",      0x06030, "8.2.3.23", RC, count=16, step=0x40, alias=Alias(0x08680, 16))
QBTC_L    = Register("QBTC_L",    0x08700, "8.2.3.23", RC, count=16, step=8, alias=Alias(0x06034, 16, 0x40))
QBTC_H    = Register("QBTC_H",    0x08704, "8.2.3.23", RC, count=16, step=8, HIGH=bits[3:0])
# fmt: on

PAIRS = {
    GORCL: GORCH, GOTCL: GOTCH, TORL: TORH, RXNFGBCL: RXNFGBCH, RXDGBCL: RXDGBCH, RXDDGBCL: RXDDGBCH,
    RXLPBKGBCL: RXLPBKGBCH, RXDLPBKGBCL: RXDLPBKGBCH, TXDGBCL: TXDGBCH, QBRC_L: QBRC_H, QBTC_L: QBTC_H,
}  # fmt: skip
"""The 36-bit counters: low register to high register."""
