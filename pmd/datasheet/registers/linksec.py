# SPDX-License-Identifier: BSD-3-Clause
"""LinkSec's counters (datasheet 8.2.3.13), cleared by a read. Not used here; DPDK's driver reads them with the others."""

from dataplane.pmd.register import RC, Register

# fmt: off
LSECTXUT    = Register("LSECTXUT",    0x08A3C, "8.2.3.13", RC)
LSECTXPKTE  = Register("LSECTXPKTE",  0x08A40, "8.2.3.13", RC)
LSECTXPKTP  = Register("LSECTXPKTP",  0x08A44, "8.2.3.13", RC)
LSECTXOCTE  = Register("LSECTXOCTE",  0x08A48, "8.2.3.13", RC)
LSECTXOCTP  = Register("LSECTXOCTP",  0x08A4C, "8.2.3.13", RC)
LSECRXUT    = Register("LSECRXUT",    0x08F40, "8.2.3.13", RC)
LSECRXOCTD  = Register("LSECRXOCTD",  0x08F44, "8.2.3.13", RC)
LSECRXOCTV  = Register("LSECRXOCTV",  0x08F48, "8.2.3.13", RC)
LSECRXBAD   = Register("LSECRXBAD",   0x08F4C, "8.2.3.13", RC)
LSECRXNOSCI = Register("LSECRXNOSCI", 0x08F50, "8.2.3.13", RC)
LSECRXUNSCI = Register("LSECRXUNSCI", 0x08F54, "8.2.3.13", RC)
LSECRXUNCH  = Register("LSECRXUNCH",  0x08F58, "8.2.3.13", RC)
LSECRXDELAY = Register("LSECRXDELAY", 0x08F5C, "8.2.3.13", RC)
LSECRXLATE  = Register("LSECRXLATE",  0x08F60, "8.2.3.13", RC)
LSECRXOK    = Register("LSECRXOK",    0x08F64, "8.2.3.13", RC, count=2)  # of each security association
LSECRXINV   = Register("LSECRXINV",   0x08F6C, "8.2.3.13", RC, count=2)
LSECRXNV    = Register("LSECRXNV",    0x08F74, "8.2.3.13", RC, count=2)
LSECRXUNSA  = Register("LSECRXUNSA",  0x08F7C, "8.2.3.13", RC)
LSECRXNUSA  = Register("LSECRXNUSA",  0x08F80, "8.2.3.13", RC)
