# SPDX-License-Identifier: BSD-3-Clause
"""Fibre Channel over Ethernet (datasheet 8.2.3.16, 7.13). Not used here; Linux' driver writes them at bring-up."""

from dataplane.pmd.register import Register, bit, bits

# fmt: off
FCPTRL    = Register("FCPTRL",    0x02410, "8.2.3.16")
FCPTRH    = Register("FCPTRH",    0x02414, "8.2.3.16")
FCBUFF    = Register("FCBUFF",    0x02418, "8.2.3.16", VALID=bit[0], BUFFSIZE=bits[4:3], WRCONTX=bit[7],
                     BUFFCNT=bits[15:8], OFFSET=bits[31:16])
FCDMARW   = Register("FCDMARW",   0x02420, "8.2.3.16", FCOESEL=bits[8:0], WE=bit[14], RE=bit[15],
                     LASTSIZE=bits[31:16])
FCRXCTRL  = Register("FCRXCTRL",  0x05100, "8.2.3.16", FCOELLI=bit[0], SAVBAD=bit[1], FRSTRDH=bit[2],
                     LASTSEQH=bit[3], ALLH=bit[4], FRSTSEQH=bit[5], ICRC=bit[6], FCCRCBO=bit[7],
                     FCOEVER=bits[11:8])
FCFLT     = Register("FCFLT",     0x05108, "8.2.3.16", VALID=bit[0], FIRST=bit[1], SEQID=bits[23:16],
                     SEQCNT=bits[31:24])
FCFLTRW   = Register("FCFLTRW",   0x05110, "8.2.3.16", FCOESEL=bits[8:0], RVALDT=bit[13], WE=bit[14], RE=bit[15])
FCPARAM   = Register("FCPARAM",   0x051D8, "8.2.3.16")
FCRECTL   = Register("FCRECTL",   0x0ED00, "8.2.3.16", ENA=bit[0])
FCRETA    = Register("FCRETA",    0x0ED10, "8.2.3.16", count=8)
