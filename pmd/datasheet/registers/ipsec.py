# SPDX-License-Identifier: BSD-3-Clause
"""IPsec: windows into the tables of security associations (datasheet 8.2.3.14)."""

from dataplane.pmd.register import SC, Register, bit, bits

# fmt: off
IPSTXIDX  = Register("IPSTXIDX",  0x08900, "8.2.3.14", EN=bit[0], INDEX=bits[12:3], READ=SC[30], WRITE=SC[31])
IPSTXSALT = Register("IPSTXSALT", 0x08904, "8.2.3.14")
IPSTXKEY  = Register("IPSTXKEY",  0x08908, "8.2.3.14", count=4)
IPSRXIDX  = Register("IPSRXIDX",  0x08E00, "8.2.3.14", EN=bit[0], TABLE=bits[2:1], INDEX=bits[12:3], READ=SC[30],
                     WRITE=SC[31])
IPSRXIPADDR = Register("IPSRXIPADDR", 0x08E04, "8.2.3.14", count=4)
IPSRXSPI  = Register("IPSRXSPI",  0x08E14, "8.2.3.14")
IPSRXIPIDX = Register("IPSRXIPIDX", 0x08E18, "8.2.3.14", INDEX=bits[6:0])
IPSRXKEY  = Register("IPSRXKEY",  0x08E1C, "8.2.3.14", count=4)
IPSRXSALT = Register("IPSRXSALT", 0x08E2C, "8.2.3.14")
IPSRXMOD  = Register("IPSRXMOD",  0x08E30, "8.2.3.14", VALID=bit[0], PROTO=bit[2], DECRYPT=bit[3], IPV6=bit[4])
