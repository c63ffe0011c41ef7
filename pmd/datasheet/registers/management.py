# SPDX-License-Identifier: BSD-3-Clause
"""The firmware's side of the card: what a driver asks of it and tells it (datasheet 8.2.3.25)."""

from dataplane.pmd.register import RO, W1C, Register, bit

# fmt: off
MANC      = Register("MANC",      0x05820, "8.2.3.25")
MANC2H    = Register("MANC2H",    0x05860, "8.2.3.25")
FLEX_MNG  = Register("FLEX_MNG",  0x15800, "8.2.3.25", count=448)  # words of a command to the firmware
HICR      = Register("HICR",      0x15F00, "8.2.3.25", EN=RO[0], C=bit[1], SV=bit[2], FW_RESET_ENABLE=bit[6],
                     FW_RESET=bit[7])                               # EN 0: no firmware listens
# CONFLICT: no datasheet has it; Linux 6.12 writes it before each command, of this chip's firmware too.
FWSTS     = Register("FWSTS",     0x15F0C, "8.2.3.25", FWRI=W1C[9])
