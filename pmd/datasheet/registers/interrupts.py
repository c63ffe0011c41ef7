# SPDX-License-Identifier: BSD-3-Clause
"""Interrupt causes, masks, moderation and vectors (datasheet 8.2.3.5, 7.3)."""

from dataplane.pmd.register import RW, W1C, W1S, WO, Register, bit, bits

# fmt: off
EICR      = Register("EICR",      0x00800, "8.2.3.5.1", W1C, RTX_QUEUE=bits[15:0], FLOW_DIR=bit[16],
                     RX_MISS=bit[17], PCI=bit[18], MAILBOX=bit[19], LSC=bit[20], LINKSEC=bit[21], MNG=bit[22],
                     SDP0=bit[24], SDP1=bit[25], SDP2=bit[26], SDP3=bit[27], ECC=bit[28], TCP_TIMER=bit[30],
                     OTHER=bit[31])  # a read clears too; with GPIE.OCD only bits 29:16
EICS      = Register("EICS",      0x00808, "8.2.3.5.2", WO, like=EICR)  # a write of 1 sets the cause
EIMS      = Register("EIMS",      0x00880, "8.2.3.5.3", W1S, like=EICR)  # reads as the mask
EIMC      = Register("EIMC",      0x00888, "8.2.3.5.4", WO, like=EICR)  # a write of 1 clears the bit in EIMS
EIAC      = Register("EIAC",      0x00810, "8.2.3.5.5", RW, like=EICR)
EIAM      = Register("EIAM",      0x00890, "8.2.3.5.6", RW, like=EICR)
EICS_EX   = Register("EICS_EX",   0x00A90, "8.2.3.5.7", WO, count=2)  # vectors 0..31 and 32..63
EIMS_EX   = Register("EIMS_EX",   0x00AA0, "8.2.3.5.8", W1S, count=2)
EIMC_EX   = Register("EIMC_EX",   0x00AB0, "8.2.3.5.9", WO, count=2)
EIAM_EX   = Register("EIAM_EX",   0x00AD0, "8.2.3.5.10", count=2)
EITR      = Register("EITR",      0x00820, "8.2.3.5.12", count=128, banks={24: 0x12300}, INTERVAL=bits[11:3],
                     LLI_MOD=bit[15], CNT_WDIS=WO[31])  # INTERVAL in 2.048 us at 10 Gb/s
EITRSEL   = Register("EITRSEL",   0x00894, "8.2.3.5")
IVAR      = Register("IVAR",      0x00900, "8.2.3.5.16", count=64, RX0=bits[5:0], RX0_VALID=bit[7],
                     TX0=bits[13:8], TX0_VALID=bit[15], RX1=bits[21:16], RX1_VALID=bit[23], TX1=bits[29:24],
                     TX1_VALID=bit[31])
IVAR_MISC = Register("IVAR_MISC", 0x00A00, "8.2.3.5.17", TCP_TIMER=bits[5:0], TCP_TIMER_VALID=bit[7],
                     OTHER=bits[13:8], OTHER_VALID=bit[15])
GPIE      = Register("GPIE",      0x00898, "8.2.3.5.18", MSIX=bit[4], OCD=bit[5], EIMEN=bit[6],
                     LL_INTERVAL=bits[10:7], RSC_DELAY=bits[13:11], VT_MODE=bits[15:14], EIAME=bit[30],
                     PBA_SUPPORT=bit[31])
