# SPDX-License-Identifier: BSD-3-Clause
"""Time stamping, IEEE 1588 (datasheet 8.2.3.26, 7.9). Drivers clear these at bring-up even if nobody asks the time."""

from dataplane.pmd.datasheet.register import RO, Register, bit, bits

# fmt: off
TSYNCRXCTL = Register("TSYNCRXCTL", 0x05188, "8.2.3.26", VALID=RO[0], TYPE=bits[3:1], ENABLE=bit[4])
RXSTMPL   = Register("RXSTMPL",   0x051E8, "8.2.3.26", RO)
RXSTMPH   = Register("RXSTMPH",   0x051A4, "8.2.3.26", RO)  # a read unlocks the pair
RXSATRL   = Register("RXSATRL",   0x051A0, "8.2.3.26", RO)
RXSATRH   = Register("RXSATRH",   0x051A8, "8.2.3.26", RO)
RXMTRL    = Register("RXMTRL",    0x05120, "8.2.3.26")
TSYNCTXCTL = Register("TSYNCTXCTL", 0x08C00, "8.2.3.26", VALID=RO[0], ENABLE=bit[4])
TXSTMPL   = Register("TXSTMPL",   0x08C04, "8.2.3.26", RO)
TXSTMPH   = Register("TXSTMPH",   0x08C08, "8.2.3.26", RO)
SYSTIML   = Register("SYSTIML",   0x08C0C, "8.2.3.26")
SYSTIMH   = Register("SYSTIMH",   0x08C10, "8.2.3.26")
TIMINCA   = Register("TIMINCA",   0x08C14, "8.2.3.26", INCVALUE=bits[23:0], INCPERIOD=bits[31:24])
TIMADJL   = Register("TIMADJL",   0x08C18, "8.2.3.26")
TIMADJH   = Register("TIMADJH",   0x08C1C, "8.2.3.26")
TSAUXC    = Register("TSAUXC",    0x08C20, "8.2.3.26")
TRGTTIML0 = Register("TRGTTIML0", 0x08C24, "8.2.3.26")
TRGTTIMH0 = Register("TRGTTIMH0", 0x08C28, "8.2.3.26")
TRGTTIML1 = Register("TRGTTIML1", 0x08C2C, "8.2.3.26")
TRGTTIMH1 = Register("TRGTTIMH1", 0x08C30, "8.2.3.26")
AUXSTMPL0 = Register("AUXSTMPL0", 0x08C3C, "8.2.3.26", RO)
AUXSTMPH0 = Register("AUXSTMPH0", 0x08C40, "8.2.3.26", RO)
