# SPDX-License-Identifier: BSD-3-Clause
"""EEPROM and flash, and the semaphores that share them with firmware and the other port (8.2.3.2, 8.2.3.4).

The words inside the EEPROM are in ``dataplane.pmd.datasheet.eeprom``.
"""

from dataplane.pmd.register import RO, RS, SC, Register, bit, bits

# fmt: off
# words = 1 << (SIZE + 6); ARD: auto-read done
EEC       = Register("EEC",       0x10010, "8.2.3.2.1", SK=bit[0], CS=bit[1], DI=bit[2], DO=RO[3],
                     FWE=bits[5:4], REQ=bit[6], GNT=RO[7], PRES=RO[8], ARD=RO[9], SIZE=RO[14:11])
EERD      = Register("EERD",      0x10014, "8.2.3.2.2", START=SC[0], DONE=RO[1], ADDR=bits[15:2],
                     DATA=RO[31:16])
EEWR      = Register("EEWR",      0x10018, "8.2.3.2", like=EERD)
FLA       = Register("FLA",       0x1001C, "8.2.3.2")
EEMNGCTL  = Register("EEMNGCTL",  0x10110, "8.2.3.2", ADDR=bits[14:0], START=bit[15], WRITE=bit[16],
                     BUSY=bit[17], CFG_DONE0=bit[18], CFG_DONE1=bit[19], DONE=bit[31])
GRC       = Register("GRC",       0x10200, "8.2.3.2", MNG_EN=RO[0], APME=bit[1])

SWSM      = Register("SWSM",      0x10140, "8.2.3.4.9", SMBI=RS[0], SWESMBI=bit[1])
FWSM      = Register("FWSM",      0x10148, "8.2.3.4.10", RO, MODE=bits[3:1], FW_VALID=bit[15],
                     EXT_ERR_IND=bits[24:19])
SW_FW_SYNC = GSSR = Register("SW_FW_SYNC", 0x10160, "8.2.3.4.11", SW_EEP=bit[0], SW_PHY0=bit[1],
                     SW_PHY1=bit[2], SW_MAC=bit[3], SW_FLASH=bit[4], FW_EEP=bit[5], FW_PHY0=bit[6],
                     FW_PHY1=bit[7], FW_MAC=bit[8], FW_FLASH=bit[9])
# LFS: the ports are swapped
FACTPS    = Register("FACTPS",    0x10150, "8.2.3.4", MNGCG=bit[29], LFS=bit[30])
