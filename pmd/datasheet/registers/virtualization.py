# SPDX-License-Identifier: BSD-3-Clause
"""Pools, switching, anti-spoofing, mirroring, mailbox, the PF's view of VFs (datasheet 8.2.3.27, 7.10).

Names are Linux' and DPDK's; the datasheet's name, where it differs, is the second one on the line. A VF sees
its own registers at other offsets: ``dataplane.pmd.datasheet.vf``.
"""

from dataplane.pmd.datasheet.registers.filters import (
    MRQE_16POOLS_8TC,
    MRQE_32POOLS_4TC,
    MRQE_32POOLS_RSS,
    MRQE_64POOLS,
    MRQE_64POOLS_RSS,
)
from dataplane.pmd.datasheet.registers.tx import (
    MTQC_16POOLS_8TC,
    MTQC_32POOLS,
    MTQC_32POOLS_4TC,
    MTQC_64POOLS,
)
from dataplane.pmd.register import RC, RO, SC, W1C, W1S, WO, Register, bit, bits

# GCR_EXT.VT_MODE and GPIE.VT_MODE; VMVIR.VLANA
VT_MODE_NONE, VT_MODE_16, VT_MODE_32, VT_MODE_64 = range(4)
VLANA_DESCRIPTOR, VLANA_ALWAYS, VLANA_NEVER = range(3)

# Queues of a pool: by GCR_EXT.VT_MODE for VFs (7.10.2), by MRQC.MRQE for Rx (8.2.3.7.12), by MTQC for Tx (8.2.3.9.15)
POOL_QUEUES = {VT_MODE_16: 8, VT_MODE_32: 4, VT_MODE_64: 2}
POOL_QUEUES_RX = {
    MRQE_16POOLS_8TC: 8,
    MRQE_32POOLS_RSS: 4,
    MRQE_32POOLS_4TC: 4,
    MRQE_64POOLS: 2,
    MRQE_64POOLS_RSS: 2,
}
POOL_QUEUES_TX = {MTQC_16POOLS_8TC: 8, MTQC_32POOLS: 4, MTQC_32POOLS_4TC: 4, MTQC_64POOLS: 2}

# fmt: off
VT_CTL = PFVTCTL = Register("VT_CTL", 0x051B0, "8.2.3.27.1", VT_ENA=bit[0], DEF_PL=bits[12:7],
                     DIS_DEF_POOL=bit[29], RPL_EN=bit[30])
VFRE   = PFVFRE  = Register("VFRE",   0x051E0, "8.2.3.27", count=2)  # pool p: bit p % 32 of VFRE[p // 32]
VFTE   = PFVFTE  = Register("VFTE",   0x08110, "8.2.3.27", count=2)
VMECM  = PFVMECM = Register("VMECM",  0x08790, "8.2.3.27", count=2)
QDE    = PFQDE   = Register("QDE",    0x02F04, "8.2.3.27.9", QDE=bit[0], HIDE_VLAN=bit[1], QUEUE=bits[14:8],
                     WE=SC[16], RE=SC[17])  # indirect: WE stores QDE for QUEUE
VMTXSW = PFVMTXSW = Register("VMTXSW", 0x05180, "8.2.3.27", count=2)  # a pool may get its own packet back
PFDTXGSWC        = Register("PFDTXGSWC", 0x08220, "8.2.3.27", LBE=bit[0])
PFVFSPOOF        = Register("PFVFSPOOF", 0x08200, "8.2.3.27", count=8, MACAS=bits[7:0], VLANAS=bits[15:8])
# UPE, VPE: from the X540 on
VMOLR  = PFVML2FLT = Register("VMOLR", 0x0F000, "8.2.3.27.14", count=64, UPE=bit[22], VPE=bit[23],
                     AUPE=bit[24], ROMPE=bit[25], ROPE=bit[26], BAM=bit[27], MPE=bit[28])
VLVF   = PFVLVF  = Register("VLVF",   0x0F100, "8.2.3.27.15", count=64, VLAN_ID=bits[11:0], VI_EN=bit[31])
# slot k: 2k pools 0..31, 2k+1 pools 32..63
VLVFB  = PFVLVFB = Register("VLVFB",  0x0F200, "8.2.3.27.16", count=128)
UTA    = PFUTA   = Register("UTA",    0x0F400, "8.2.3.27.17", count=128)
VMVIR  = PFVMVIR = Register("VMVIR",  0x08000, "8.2.3.27", count=64, VID=bits[11:0], CFI=bit[12],
                     PRIORITY=bits[15:13], VLANA=bits[31:30])
MRCTL  = PFMRCTL = Register("MRCTL",  0x0F600, "8.2.3.27", count=4, VPME=bit[0], UPME=bit[1], DPME=bit[2],
                     VLME=bit[3], MP=bits[13:8])
VMRVLAN = PFMRVLAN = Register("VMRVLAN", 0x0F610, "8.2.3.27", count=8)  # rule r: r low, r + 4 high
VMRVM  = PFMRVM  = Register("VMRVM",  0x0F630, "8.2.3.27", count=8)
PFFLPL           = Register("PFFLPL", 0x050B0, "8.2.3.27")
PFFLPH           = Register("PFFLPH", 0x050B4, "8.2.3.27")

# The mailbox (7.10.2.9); words and types are in pmd.datasheet.mailbox
PFMAILBOX = Register("PFMAILBOX", 0x04B00, "8.2.3.27", count=64, STS=WO[0], ACK=WO[1], VFU=RO[2], PFU=bit[3],
                     RVFU=WO[4])
PFMBMEM   = Register("PFMBMEM",   0x13000, "8.2.3.27", count=64 * 16, row=16)  # PFMBMEM[vf, word]
PFMBICR   = Register("PFMBICR",   0x00710, "8.2.3.27", W1C, count=4, VFREQ=bits[15:0], VFACK=bits[31:16])
PFMBIMR   = Register("PFMBIMR",   0x00720, "8.2.3.27", count=2, reset=0xFFFF_FFFF)
PFVFLRE   = Register("PFVFLRE",   0x00600, "8.2.3.27", RO, count=2, banks={1: 0x001C0})
PFVFLREC  = Register("PFVFLREC",  0x00700, "8.2.3.27", W1C, count=2)

# The VF's registers as the PF sees them: v is the VF's number
PVFCTRL     = Register("PVFCTRL",     0x00300, "8.2.3.27", WO, count=64, RST=bit[26])
PVFMAILBOX  = Register("PVFMAILBOX",  0x04C00, "8.2.3.27", count=64, reset=0x40, REQ=WO[0], ACK=WO[1],
                     VFU=bit[2], PFU=RO[3], PFSTS=RC[4], PFACK=RC[5], RSTI=RO[6], RSTD=RC[7])
PVTEICR     = Register("PVTEICR",     0x00B00, "8.2.3.27", W1C, count=64, CAUSE=bits[2:0])
PVTEICS     = Register("PVTEICS",     0x00C00, "8.2.3.27", WO, count=64, CAUSE=bits[2:0])
PVTEIMS     = Register("PVTEIMS",     0x00D00, "8.2.3.27", W1S, count=64, CAUSE=bits[2:0])
PVTEIMC     = Register("PVTEIMC",     0x00E00, "8.2.3.27", WO, count=64, CAUSE=bits[2:0])
PVTEIAC     = Register("PVTEIAC",     0x00F00, "8.2.3.27", count=64, CAUSE=bits[2:0])
PVTEIAM     = Register("PVTEIAM",     0x04D00, "8.2.3.27", count=64, CAUSE=bits[2:0])
PVTIVAR     = Register("PVTIVAR",     0x12500, "8.2.3.27", count=64, RX0=bits[1:0], RX0_VALID=bit[7],
                     TX0=bits[9:8], TX0_VALID=bit[15], RX1=bits[17:16], RX1_VALID=bit[23], TX1=bits[25:24],
                     TX1_VALID=bit[31])
PVTIVAR_MISC = Register("PVTIVAR_MISC", 0x04E00, "8.2.3.27", count=64, MAILBOX=bits[1:0],
                     MAILBOX_VALID=bit[7])
PVTRSCINT   = Register("PVTRSCINT",   0x12000, "8.2.3.27", count=128)
# VF counters wrap, reads keep them
PVFGPRC     = Register("PVFGPRC",     0x0101C, "8.2.3.27", RO, count=64, step=0x40)
PVFGORC_LSB = Register("PVFGORC_LSB", 0x01020, "8.2.3.27", RO, count=64, step=0x40)
PVFGORC_MSB = Register("PVFGORC_MSB", 0x0D020, "8.2.3.27", RO, count=64, step=0x40, HIGH=bits[3:0])
PVFMPRC     = Register("PVFMPRC",     0x0D01C, "8.2.3.27", RO, count=64, step=0x40)
PVFGPTC     = Register("PVFGPTC",     0x08300, "8.2.3.27", RO, count=64)
PVFGOTC_LSB = Register("PVFGOTC_LSB", 0x08400, "8.2.3.27", RO, count=64, step=8)
PVFGOTC_MSB = Register("PVFGOTC_MSB", 0x08404, "8.2.3.27", RO, count=64, step=8, HIGH=bits[3:0])
