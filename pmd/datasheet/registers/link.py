# SPDX-License-Identifier: BSD-3-Clause
"""MAC core, link, auto-negotiation, MDIO and flow control (datasheet 8.2.3.22, 8.2.3.3)."""

from dataplane.pmd.register import RC, RO, SC, Register, bit, bits

# AUTOC.LMS, the link mode, and AUTOC2.PMA10G_SERIAL (datasheet 8.2.3.22.19)
(
    LMS_1G,
    LMS_10G_PARALLEL,
    LMS_1G_AN,
    LMS_10G_SERIAL,
    LMS_KX4_AN,
    LMS_SGMII,
    LMS_KX4_AN_1G,
    LMS_KX4_AN_SGMII,
) = range(8)
SERIAL_KR, SERIAL_XFI, SERIAL_SFI = range(3)
# LINKS.SPEED, and what it means in Mb/s
SPEED_100M, SPEED_1G, SPEED_10G = 1, 2, 3
MBPS = {SPEED_100M: 100, SPEED_1G: 1_000, SPEED_10G: 10_000}

# fmt: off
PCS1GLCTL = Register("PCS1GLCTL", 0x04208, "8.2.3.22")
PCS1GLSTA = Register("PCS1GLSTA", 0x0420C, "8.2.3.22", RO)
PCS1GANA  = Register("PCS1GANA",  0x04218, "8.2.3.22")
PCS1GANLP = Register("PCS1GANLP", 0x0421C, "8.2.3.22", RO)
HLREG0    = Register("HLREG0",    0x04240, "8.2.3.22.8", reset=0x0800_0403, TXCRCEN=bit[0], RXCRCSTRP=bit[1],
                     JUMBOEN=bit[2], TXPADEN=bit[10], LPBK=bit[15], MDCSPD=bit[16], CONTMDC=bit[17],
                     PREPEND=bits[23:20], RXLNGTHERREN=bit[27], RXPADSTRIPEN=bit[28])
HLREG1    = Register("HLREG1",    0x04244, "8.2.3.22", RO, ERRORS=RC[9:5])
# OP: 0 address, 1 write, 2 read and step, 3 read
MSCA      = Register("MSCA",      0x0425C, "8.2.3.22", ADDR=bits[15:0], DEV_TYPE=bits[20:16], PHY=bits[25:21],
                     OP=bits[27:26], ST=bits[29:28], START=SC[30])
MSRWD     = Register("MSRWD",     0x04260, "8.2.3.22", WRITE=bits[15:0], READ=RO[31:16])
# holds with JUMBOEN
MAXFRS    = MHADD = Register("MAXFRS", 0x04268, "8.2.3.22.13", reset=1518 << 16, MFS=bits[31:16])
MFLCN     = Register("MFLCN",     0x04294, "8.2.3.22.34", PMCF=bit[0], DPF=bit[1], RPFCE=bit[2], RFCE=bit[3])
AUTOC     = Register("AUTOC",     0x042A0, "8.2.3.22.19", FLU=bit[0], PMA10G_PARALLEL=bits[8:7], PMA1G=bit[9],
                     RESTART_AN=SC[12], LMS=bits[15:13], KR=bit[16], FEC_REQ=bit[17], FEC_ABLE=bit[18],
                     PAUSE=bits[29:28], KX=bit[30], KX4=bit[31])
LINKS     = Register("LINKS",     0x042A4, "8.2.3.22.20", RO, LATCHED_UP=bit[7], ALIGN_10G=bit[17],
                     SYNC_1G=bit[18], SPEED=bits[29:28], UP=bit[30], KX_AN_DONE=bit[31])
AUTOC2    = Register("AUTOC2",    0x042A8, "8.2.3.22", PMA10G_SERIAL=bits[17:16], LINK_DISABLE=bits[30:28])
MMNGC     = Register("MMNGC",     0x042D0, "8.2.3.22", RO, VETO=bit[0])  # the firmware keeps the link from being reset
ANLP1     = Register("ANLP1",     0x042B0, "8.2.3.22.23", RO, AN_STATE=bits[19:16])
LINKS2    = Register("LINKS2",    0x04324, "8.2.3.22", RO, AN_SUPPORTED=bit[6])
MACC      = Register("MACC",      0x04330, "8.2.3.22", FLU=bit[0], FSV=bits[17:16], FS=bit[18])
CORECTL   = Register("CORECTL",   0x14F00, "8.2.3.22.32")

PFCTOP    = Register("PFCTOP",    0x03008, "8.2.3.3.1", reset=0x0101_8808, FCT=bits[15:0], OV=bits[31:16])
FCTTV     = Register("FCTTV",     0x03200, "8.2.3.3.2", count=4, TTV_EVEN=bits[15:0], TTV_ODD=bits[31:16])
FCRTL     = Register("FCRTL",     0x03220, "8.2.3.3.3", count=8, RTL=bits[18:5], XONE=bit[31])
# marks in 32-byte units
FCRTH     = Register("FCRTH",     0x03260, "8.2.3.3.4", count=8, RTH=bits[18:5], FCEN=bit[31])
FCRTV     = Register("FCRTV",     0x032A0, "8.2.3.3.5", REFRESH=bits[15:0])
FCCFG     = Register("FCCFG",     0x03D00, "8.2.3.3.7", TFCE=bits[4:3])  # 0 off, 1 802.3x, 2 priority
TFCS      = Register("TFCS",      0x0CE00, "8.2.3.3", RO)
