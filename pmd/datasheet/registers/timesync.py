# SPDX-License-Identifier: BSD-3-Clause
"""Time stamping, IEEE 1588 (datasheet 8.2.3.26, 7.9). Drivers clear these at bring-up even without time stamps."""

from dataplane.pmd.register import RO, Register, bit, bits

# TSYNCRXCTL.TYPE: which packets get a stamp.
STAMP_L2_V2 = 0  # RXMTRL.MSGT and the peer delay messages, over Ethernet
STAMP_L4_V1 = 1  # RXMTRL.CTRLT, over UDP
STAMP_V2 = 2  # RXMTRL.MSGT and the peer delay messages, over both
STAMP_ALL = 4  # every packet, without locking the registers
STAMP_EVENTS = 5  # every event message of version 2, over both

ETHERTYPE_PTP = 0x88F7
PTP_PORT = 319  # of UDP: event messages

# fmt: off
TSYNCRXCTL = Register("TSYNCRXCTL", 0x05188, "8.2.3.26", VALID=RO[0], TYPE=bits[3:1], ENABLE=bit[4])
RXSTMPL   = Register("RXSTMPL",   0x051E8, "8.2.3.26", RO)
RXSTMPH   = Register("RXSTMPH",   0x051A4, "8.2.3.26", RO)  # a read unlocks the pair
# Bytes of the message as they lie there: 22 to 25; 26, 27, and the sequence number.
RXSATRL   = Register("RXSATRL",   0x051A0, "8.2.3.26", RO)
RXSATRH   = Register("RXSATRH",   0x051A8, "8.2.3.26", RO, SOURCE=bits[15:0], SEQUENCE=bits[31:16])
# The port comes up as 319 in hexadecimal.
RXMTRL    = Register("RXMTRL",    0x05120, "8.2.3.26", reset=0x0319_0000, CTRLT=bits[7:0], MSGT=bits[15:8], UDPT=bits[31:16])
TSYNCTXCTL = Register("TSYNCTXCTL", 0x08C00, "8.2.3.26", VALID=RO[0], ENABLE=bit[4])
TXSTMPL   = Register("TXSTMPL",   0x08C04, "8.2.3.26", RO)
TXSTMPH   = Register("TXSTMPH",   0x08C08, "8.2.3.26", RO)  # a read unlocks the pair
SYSTIML   = Register("SYSTIML",   0x08C0C, "8.2.3.26")  # a read latches SYSTIMH
SYSTIMH   = Register("SYSTIMH",   0x08C10, "8.2.3.26")
TIMINCA   = Register("TIMINCA",   0x08C14, "8.2.3.26", INCVALUE=bits[23:0], INCPERIOD=bits[31:24])
TIMADJL   = Register("TIMADJL",   0x08C18, "8.2.3.26")
TIMADJH   = Register("TIMADJH",   0x08C1C, "8.2.3.26", HIGH=bits[30:0], SIGN=bit[31])  # a write adjusts SYSTIM
TSAUXC    = Register("TSAUXC",    0x08C20, "8.2.3.26")
TRGTTIML0 = Register("TRGTTIML0", 0x08C24, "8.2.3.26")
TRGTTIMH0 = Register("TRGTTIMH0", 0x08C28, "8.2.3.26")
TRGTTIML1 = Register("TRGTTIML1", 0x08C2C, "8.2.3.26")
TRGTTIMH1 = Register("TRGTTIMH1", 0x08C30, "8.2.3.26")
AUXSTMPL0 = Register("AUXSTMPL0", 0x08C3C, "8.2.3.26", RO)
AUXSTMPH0 = Register("AUXSTMPH0", 0x08C40, "8.2.3.26", RO)
