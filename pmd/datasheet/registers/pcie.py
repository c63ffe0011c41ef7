# SPDX-License-Identifier: BSD-3-Clause
"""The PCIe block and direct cache access control (datasheet 8.2.3.4, 8.2.3.11)."""

from dataplane.pmd.register import RO, W1C, Register, bit, bits

# fmt: off
GCR       = Register("GCR",       0x11000, "8.2.3.4", CMPL_TMOUT_RESEND=bit[9], CAP_VER2=bit[18])
GCR_EXT   = Register("GCR_EXT",   0x11050, "8.2.3.4.12", VT_MODE=bits[1:0], APBACD=bit[4],
                     BUFFERS_CLEAR=bit[30], MSIX_EN=bit[31])  # VT_MODE must equal GPIE.VT_MODE
MREVID    = Register("MREVID",    0x11064, "8.2.3.4", RO, EEPROM_REV=bits[7:0], DEFAULT_REV=bits[15:8])
CIAA      = Register("CIAA",      0x11088, "8.2.3.4")
CIAD      = Register("CIAD",      0x1108C, "8.2.3.4")
PICAUSE   = Register("PICAUSE",   0x110B0, "8.2.3.4", W1C, CA=bit[0], UA=bit[1], BE=bit[2], TO=bit[3],
                     BMEF=bit[4])
PIENA     = Register("PIENA",     0x110B8, "8.2.3.4", CA=bit[0], UA=bit[1], BE=bit[2], TO=bit[3], BMEF=bit[4])
BARCTRL   = Register("BARCTRL",   0x110F4, "8.2.3.4", FLASH_SIZE=bits[10:8], CSR_SIZE=bit[13])
PVFPBACL  = Register("PVFPBACL",  0x110C8, "8.2.3.4", count=11)  # CONFLICT: 64 would cross BARCTRL
DCA_ID    = Register("DCA_ID",    0x11070, "8.2.3.11", RO)
DCA_CTRL  = Register("DCA_CTRL",  0x11074, "8.2.3.11.4", DCA_DIS=bit[0], DCA_MODE=bits[4:1])
