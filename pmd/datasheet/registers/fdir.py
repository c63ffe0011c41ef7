# SPDX-License-Identifier: BSD-3-Clause
"""Flow Director: hash and perfect filters to a queue (datasheet 8.2.3.21, 7.1.2.7).

Its table lives in the Rx packet buffer, which must shrink by as much.
"""

from dataplane.pmd.register import RC, RO, SC, Register, bit, bits

# FDIRCTRL.PBALLOC, FDIRCMD.CMD and FDIRCMD.L4TYPE
PBALLOC_NONE, PBALLOC_64K, PBALLOC_128K, PBALLOC_256K = range(4)
CMD_IDLE, CMD_ADD, CMD_REMOVE, CMD_QUERY = range(4)
L4TYPE_NONE, L4TYPE_UDP, L4TYPE_TCP, L4TYPE_SCTP = range(4)
# The keys drivers use
BUCKET_HASH_KEY, SIGNATURE_HASH_KEY = 0x3DAD14E2, 0x174D3614

# fmt: off
FDIRCTRL   = Register("FDIRCTRL",   0x0EE00, "8.2.3.21", PBALLOC=bits[1:0], INIT_DONE=RO[3],
                     PERFECT_MATCH=bit[4], REPORT_STATUS=bit[5], REPORT_STATUS_ALWAYS=bit[7],
                     DROP_Q=bits[14:8], FLEX=bits[20:16], MAX_LENGTH=bits[27:24], FULL_THRESH=bits[31:28])
FDIRHKEY   = Register("FDIRHKEY",   0x0EE68, "8.2.3.21")
FDIRSKEY   = Register("FDIRSKEY",   0x0EE6C, "8.2.3.21")
FDIRDIP4M  = Register("FDIRDIP4M",  0x0EE3C, "8.2.3.21")  # masks: a bit of 1 ignores
FDIRSIP4M  = Register("FDIRSIP4M",  0x0EE40, "8.2.3.21")
FDIRTCPM   = Register("FDIRTCPM",   0x0EE44, "8.2.3.21", SPORT=bits[15:0], DPORT=bits[31:16])
FDIRUDPM   = Register("FDIRUDPM",   0x0EE48, "8.2.3.21", SPORT=bits[15:0], DPORT=bits[31:16])
FDIRIP6M   = Register("FDIRIP6M",   0x0EE74, "8.2.3.21", SIPM=bits[15:0], DIPM=bits[31:16])
FDIRM      = Register("FDIRM",      0x0EE70, "8.2.3.21", VLANID=bit[0], VLANP=bit[1], POOL=bit[2], L4P=bit[3],
                     FLEX=bit[4], DIPV6=bit[5])
FDIRFREE   = Register("FDIRFREE",   0x0EE38, "8.2.3.21", FREE=bits[15:0], COLL=bits[30:16])
FDIRLEN    = Register("FDIRLEN",    0x0EE4C, "8.2.3.21", RC, MAXLEN=bits[5:0], MAXHASH=bits[30:16])
FDIRUSTAT  = Register("FDIRUSTAT",  0x0EE50, "8.2.3.21", RC, ADD=bits[15:0], REMOVE=bits[31:16])
FDIRFSTAT  = Register("FDIRFSTAT",  0x0EE54, "8.2.3.21", RC, FADD=bits[7:0], FREMOVE=bits[15:8])
FDIRMATCH  = Register("FDIRMATCH",  0x0EE58, "8.2.3.21", RC)
FDIRMISS   = Register("FDIRMISS",   0x0EE5C, "8.2.3.21", RC)
FDIRSIPV6  = Register("FDIRSIPV6",  0x0EE0C, "8.2.3.21", count=3)
FDIRIPSA   = Register("FDIRIPSA",   0x0EE18, "8.2.3.21")
FDIRIPDA   = Register("FDIRIPDA",   0x0EE1C, "8.2.3.21")
FDIRPORT   = Register("FDIRPORT",   0x0EE20, "8.2.3.21", SPORT=bits[15:0], DPORT=bits[31:16])
FDIRVLAN   = Register("FDIRVLAN",   0x0EE24, "8.2.3.21", VLAN=bits[15:0], FLEX=bits[31:16])
FDIRHASH   = Register("FDIRHASH",   0x0EE28, "8.2.3.21", HASH=bits[14:0], VALID=bit[15], SWINDEX=bits[30:16])
FDIRCMD    = Register("FDIRCMD",    0x0EE2C, "8.2.3.21", CMD=SC[1:0], VALID=RO[2], UPDATE=bit[3],
                     IPV6DMATCH=bit[4], L4TYPE=bits[6:5], IPV6=bit[7], CLEARHT=bit[8], DROP=bit[9],
                     INT=bit[10], LAST=bit[11], COLLISION=bit[12], QUEUE_EN=bit[15], RX_QUEUE=bits[22:16],
                     POOL=bits[29:24])
