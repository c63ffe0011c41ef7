# SPDX-License-Identifier: BSD-3-Clause
"""Device control and status, timers, LEDs, wake-up (datasheet 8.2.3.1, 8.2.3.15, 8.2.3.24).

Each line: name, offset, section, access, then the fields. A section that ends at the block (``8.2.3.15``)
means the block's own list of registers.
"""

from dataplane.pmd.register import RO, SC, W1C, Alias, Register, bit, bits

# fmt: off
CTRL      = Register("CTRL",      0x00000, "8.2.3.1.1", alias=Alias(0x00004), GIO_DIS=bit[2], LRST=SC[3],
                     RST=SC[26])
# GIO: requests may still be under way
STATUS    = Register("STATUS",    0x00008, "8.2.3.1.2", RO, LAN_ID=bits[3:2], LINK_UP=bit[7],
                     NUM_VFS=bits[17:10], IOV_ACTIVE=bit[18], GIO=bit[19])
CTRL_EXT  = Register("CTRL_EXT",  0x00018, "8.2.3.1.3", PFRSTD=bit[14], NS_DIS=bit[16], RO_DIS=bit[17],
                     EXTENDED_VLAN=bit[26], DRV_LOAD=bit[28])
# SFP boards: SDP2 = module is in
ESDP      = Register("ESDP",      0x00020, "8.2.3.1.4", SDP0=bit[0], SDP1=bit[1], SDP2=bit[2], SDP3=bit[3],
                     SDP4=bit[4], SDP5=bit[5], SDP6=bit[6], SDP7=bit[7], DIR=bits[15:8])
I2CCTL    = Register("I2CCTL",    0x00028, "8.2.3.1.5", CLK_IN=RO[0], CLK_OUT=bit[1], DATA_IN=RO[2],
                     DATA_OUT=bit[3])
LEDCTL    = Register("LEDCTL",    0x00200, "8.2.3.1.6", LED0_MODE=bits[3:0], LED0_INV=bit[6],
                     LED0_BLINK=bit[7], LED1_MODE=bits[11:8], LED1_INV=bit[14], LED1_BLINK=bit[15],
                     LED2_MODE=bits[19:16], LED2_INV=bit[22], LED2_BLINK=bit[23], LED3_MODE=bits[27:24],
                     LED3_INV=bit[30], LED3_BLINK=bit[31])
EXVET     = Register("EXVET",     0x05078, "8.2.3.1.7", reset=0x8100_0000, VET_EXT=bits[31:16])

FRTIMER   = Register("FRTIMER",   0x00048, "8.2.3.15", RO)
TCPTIMER  = Register("TCPTIMER",  0x0004C, "8.2.3.15", DURATION=bits[7:0], KICK=SC[8], ENABLE=bit[9],
                     FINISH=bit[10], LOOP=bit[11])

# Wake-up is not modelled; drivers write these at bring-up and when they close.
WUC       = Register("WUC",       0x05800, "8.2.3.24", APME=bit[0], PME_EN=bit[1], PME_STATUS=W1C[2],
                     WKEN=bit[4])
WUFC      = Register("WUFC",      0x05808, "8.2.3.24.2", LNKC=bit[0], MAG=bit[1], EX=bit[2], MC=bit[3],
                     BC=bit[4], ARP=bit[5], IPV4=bit[6], IPV6=bit[7], MNG=bit[8], FLX=bits[21:16])
WUS       = Register("WUS",       0x05810, "8.2.3.24", W1C)
IPAV      = Register("IPAV",      0x05838, "8.2.3.24")
