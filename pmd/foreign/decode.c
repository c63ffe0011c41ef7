/* SPDX-License-Identifier: BSD-3-Clause
 *
 * x86-64 instructions with a memory operand, from a table: how much they read and write there, and how long they are. What
 * they do is not in it: fault.c has the CPU run a copy of the instruction, whose operand is a copy of the registers.
 *
 * Sections: Intel's manual, volume 2, 2.1 to 2.3 (formats, REX, VEX), 2.7 (EVEX), A.3 (opcodes).
 */
#include "trap.h"

enum { R = READS, W = WRITES, RW = READS | WRITES, NO = 0 };

/* Widths in bytes that depend on prefixes, above those that do not. */
enum { V = 0x80 /* operand size */, Y /* 4, with REX.W 8 */, X /* the vector's */, XH /* half of it */, XQ, XO /* quarter, eighth */ };

/* Which prefix an opcode must have; the operand-size prefix of general instructions is not one of these. */
enum { ANY, NP, P66, PF3, PF2 };

enum { IB = 1, IZ = 0x80 /* 4 bytes, 2 with a 66 prefix */ };
enum { LEGACY = 1, VEX = 2, BOTH = 3 };
enum { GENERAL, VECTOR = 1 };

struct row {
    uint8_t map, first, last; /* 0: one byte, 1: after 0F, 2: after 0F 38, 3: after 0F 3A; the opcodes from, to */
    uint8_t prefix, ext;      /* bits of the allowed /0 to /7; 0: the field is a register */
    uint8_t access, width, immediate, coding, vector, kind;
};

#define ALU(at, access)                                            \
    {0, at, at, ANY, 0, access, 1, 0, LEGACY, GENERAL, PLAIN},             \
    {0, at + 1, at + 1, ANY, 0, access, V, 0, LEGACY, GENERAL, PLAIN},     \
    {0, at + 2, at + 2, ANY, 0, R, 1, 0, LEGACY, GENERAL, PLAIN},          \
    {0, at + 3, at + 3, ANY, 0, R, V, 0, LEGACY, GENERAL, PLAIN}

/* The first that fits counts. */
static const struct row ROWS[] = {
    /* add, or, adc, sbb, and, sub, xor, cmp */
    ALU(0x00, RW), ALU(0x08, RW), ALU(0x10, RW), ALU(0x18, RW), ALU(0x20, RW), ALU(0x28, RW), ALU(0x30, RW), ALU(0x38, R),
    {0, 0x63, 0x63, ANY, 0, R, 4, 0, LEGACY, GENERAL, PLAIN},            /* movsxd */
    {0, 0x69, 0x69, ANY, 0, R, V, IZ, LEGACY, GENERAL, PLAIN},           /* imul */
    {0, 0x6B, 0x6B, ANY, 0, R, V, IB, LEGACY, GENERAL, PLAIN},
    {0, 0x80, 0x80, ANY, 0x7F, RW, 1, IB, LEGACY, GENERAL, PLAIN},       /* add ... xor with a constant */
    {0, 0x80, 0x80, ANY, 0x80, R, 1, IB, LEGACY, GENERAL, PLAIN},        /* cmp */
    {0, 0x81, 0x81, ANY, 0x7F, RW, V, IZ, LEGACY, GENERAL, PLAIN},
    {0, 0x81, 0x81, ANY, 0x80, R, V, IZ, LEGACY, GENERAL, PLAIN},
    {0, 0x83, 0x83, ANY, 0x7F, RW, V, IB, LEGACY, GENERAL, PLAIN},
    {0, 0x83, 0x83, ANY, 0x80, R, V, IB, LEGACY, GENERAL, PLAIN},
    {0, 0x84, 0x84, ANY, 0, R, 1, 0, LEGACY, GENERAL, PLAIN},            /* test */
    {0, 0x85, 0x85, ANY, 0, R, V, 0, LEGACY, GENERAL, PLAIN},
    {0, 0x86, 0x86, ANY, 0, RW, 1, 0, LEGACY, GENERAL, PLAIN},           /* xchg */
    {0, 0x87, 0x87, ANY, 0, RW, V, 0, LEGACY, GENERAL, PLAIN},
    {0, 0x88, 0x88, ANY, 0, W, 1, 0, LEGACY, GENERAL, PLAIN},            /* mov */
    {0, 0x89, 0x89, ANY, 0, W, V, 0, LEGACY, GENERAL, PLAIN},
    {0, 0x8A, 0x8A, ANY, 0, R, 1, 0, LEGACY, GENERAL, PLAIN},
    {0, 0x8B, 0x8B, ANY, 0, R, V, 0, LEGACY, GENERAL, PLAIN},
    {0, 0x8F, 0x8F, ANY, 0x01, W, 8, 0, LEGACY, GENERAL, POP},
    {0, 0xA0, 0xA0, ANY, 0, R, 1, 8, LEGACY, GENERAL, PLAIN},            /* mov from, to an address of 64 bits */
    {0, 0xA1, 0xA1, ANY, 0, R, V, 8, LEGACY, GENERAL, PLAIN},
    {0, 0xA2, 0xA2, ANY, 0, W, 1, 8, LEGACY, GENERAL, PLAIN},
    {0, 0xA3, 0xA3, ANY, 0, W, V, 8, LEGACY, GENERAL, PLAIN},
    {0, 0xA4, 0xA4, ANY, 0, RW, 1, 0, LEGACY, GENERAL, MOVS},
    {0, 0xA5, 0xA5, ANY, 0, RW, V, 0, LEGACY, GENERAL, MOVS},
    {0, 0xAA, 0xAA, ANY, 0, W, 1, 0, LEGACY, GENERAL, STOS},
    {0, 0xAB, 0xAB, ANY, 0, W, V, 0, LEGACY, GENERAL, STOS},
    {0, 0xAC, 0xAC, ANY, 0, R, 1, 0, LEGACY, GENERAL, LODS},
    {0, 0xAD, 0xAD, ANY, 0, R, V, 0, LEGACY, GENERAL, LODS},
    {0, 0xC0, 0xC0, ANY, 0xFF, RW, 1, IB, LEGACY, GENERAL, PLAIN},       /* rol, ror, rcl, rcr, shl, shr, sar */
    {0, 0xC1, 0xC1, ANY, 0xFF, RW, V, IB, LEGACY, GENERAL, PLAIN},
    {0, 0xC6, 0xC6, ANY, 0x01, W, 1, IB, LEGACY, GENERAL, PLAIN},        /* mov of a constant */
    {0, 0xC7, 0xC7, ANY, 0x01, W, V, IZ, LEGACY, GENERAL, PLAIN},
    {0, 0xD0, 0xD0, ANY, 0xFF, RW, 1, 0, LEGACY, GENERAL, PLAIN},
    {0, 0xD1, 0xD1, ANY, 0xFF, RW, V, 0, LEGACY, GENERAL, PLAIN},
    {0, 0xD2, 0xD2, ANY, 0xFF, RW, 1, 0, LEGACY, GENERAL, PLAIN},
    {0, 0xD3, 0xD3, ANY, 0xFF, RW, V, 0, LEGACY, GENERAL, PLAIN},
    {0, 0xF6, 0xF6, ANY, 0x03, R, 1, IB, LEGACY, GENERAL, PLAIN},        /* test with a constant */
    {0, 0xF7, 0xF7, ANY, 0x03, R, V, IZ, LEGACY, GENERAL, PLAIN},
    {0, 0xF6, 0xF6, ANY, 0x0C, RW, 1, 0, LEGACY, GENERAL, PLAIN},        /* not, neg */
    {0, 0xF7, 0xF7, ANY, 0x0C, RW, V, 0, LEGACY, GENERAL, PLAIN},
    {0, 0xF6, 0xF6, ANY, 0xF0, R, 1, 0, LEGACY, GENERAL, PLAIN},         /* mul, imul, div, idiv */
    {0, 0xF7, 0xF7, ANY, 0xF0, R, V, 0, LEGACY, GENERAL, PLAIN},
    {0, 0xFE, 0xFE, ANY, 0x03, RW, 1, 0, LEGACY, GENERAL, PLAIN},        /* inc, dec */
    {0, 0xFF, 0xFF, ANY, 0x03, RW, V, 0, LEGACY, GENERAL, PLAIN},
    {0, 0xFF, 0xFF, ANY, 0x40, R, 8, 0, LEGACY, GENERAL, PUSH},

    /* general, after 0F */
    {1, 0x40, 0x4F, ANY, 0, R, V, 0, LEGACY, GENERAL, PLAIN},            /* cmov */
    {1, 0x90, 0x9F, ANY, 0xFF, W, 1, 0, LEGACY, GENERAL, PLAIN},         /* set */
    {1, 0xA3, 0xA3, ANY, 0, R, V, 0, LEGACY, GENERAL, BIT},              /* bt, bts, btr, btc */
    {1, 0xAB, 0xAB, ANY, 0, RW, V, 0, LEGACY, GENERAL, BIT},
    {1, 0xB3, 0xB3, ANY, 0, RW, V, 0, LEGACY, GENERAL, BIT},
    {1, 0xBB, 0xBB, ANY, 0, RW, V, 0, LEGACY, GENERAL, BIT},
    {1, 0xBA, 0xBA, ANY, 0x10, R, V, IB, LEGACY, GENERAL, PLAIN},
    {1, 0xBA, 0xBA, ANY, 0xE0, RW, V, IB, LEGACY, GENERAL, PLAIN},
    {1, 0xA4, 0xA4, ANY, 0, RW, V, IB, LEGACY, GENERAL, PLAIN},          /* shld, shrd */
    {1, 0xA5, 0xA5, ANY, 0, RW, V, 0, LEGACY, GENERAL, PLAIN},
    {1, 0xAC, 0xAC, ANY, 0, RW, V, IB, LEGACY, GENERAL, PLAIN},
    {1, 0xAD, 0xAD, ANY, 0, RW, V, 0, LEGACY, GENERAL, PLAIN},
    {1, 0xAE, 0xAE, NP, 0x80, NO, 0, 0, LEGACY, GENERAL, PLAIN},         /* clflush, clwb, clflushopt */
    {1, 0xAE, 0xAE, P66, 0xC0, NO, 0, 0, LEGACY, GENERAL, PLAIN},
    {1, 0xAF, 0xAF, ANY, 0, R, V, 0, LEGACY, GENERAL, PLAIN},            /* imul */
    {1, 0xB0, 0xB0, ANY, 0, RW, 1, 0, LEGACY, GENERAL, PLAIN},           /* cmpxchg */
    {1, 0xB1, 0xB1, ANY, 0, RW, V, 0, LEGACY, GENERAL, PLAIN},
    {1, 0xC0, 0xC0, ANY, 0, RW, 1, 0, LEGACY, GENERAL, PLAIN},           /* xadd */
    {1, 0xC1, 0xC1, ANY, 0, RW, V, 0, LEGACY, GENERAL, PLAIN},
    {1, 0xC3, 0xC3, NP, 0, W, Y, 0, LEGACY, GENERAL, PLAIN},             /* movnti */
    {1, 0xC7, 0xC7, ANY, 0x02, RW, XO, 0, LEGACY, GENERAL, PLAIN},       /* cmpxchg8b, cmpxchg16b */
    {1, 0xB6, 0xB6, ANY, 0, R, 1, 0, LEGACY, GENERAL, PLAIN},            /* movzx, movsx */
    {1, 0xB7, 0xB7, ANY, 0, R, 2, 0, LEGACY, GENERAL, PLAIN},
    {1, 0xBE, 0xBE, ANY, 0, R, 1, 0, LEGACY, GENERAL, PLAIN},
    {1, 0xBF, 0xBF, ANY, 0, R, 2, 0, LEGACY, GENERAL, PLAIN},
    {1, 0xB8, 0xB8, PF3, 0, R, V, 0, LEGACY, GENERAL, PLAIN},            /* popcnt */
    {1, 0xBC, 0xBD, ANY, 0, R, V, 0, LEGACY, GENERAL, PLAIN},            /* bsf, bsr, tzcnt, lzcnt */
    {2, 0xF0, 0xF0, PF2, 0, R, 1, 0, LEGACY, GENERAL, PLAIN},            /* crc32 */
    {2, 0xF1, 0xF1, PF2, 0, R, V, 0, LEGACY, GENERAL, PLAIN},
    {2, 0xF0, 0xF0, ANY, 0, R, V, 0, LEGACY, GENERAL, PLAIN},            /* movbe */
    {2, 0xF1, 0xF1, ANY, 0, W, V, 0, LEGACY, GENERAL, PLAIN},
    {2, 0xF6, 0xF6, P66, 0, R, Y, 0, LEGACY, GENERAL, PLAIN},            /* adcx, adox */
    {2, 0xF6, 0xF6, PF3, 0, R, Y, 0, LEGACY, GENERAL, PLAIN},
    {2, 0xF9, 0xF9, NP, 0, W, Y, 0, LEGACY, GENERAL, PLAIN},             /* movdiri */
    {2, 0xF2, 0xF2, ANY, 0, R, Y, 0, VEX, GENERAL, PLAIN},               /* andn */
    {2, 0xF3, 0xF3, ANY, 0x0E, R, Y, 0, VEX, GENERAL, PLAIN},            /* blsr, blsmsk, blsi */
    {2, 0xF5, 0xF7, ANY, 0, R, Y, 0, VEX, GENERAL, PLAIN},               /* bzhi, pdep, pext, mulx, bextr, shlx, sarx, shrx */
    {3, 0xF0, 0xF0, PF2, 0, R, Y, IB, VEX, GENERAL, PLAIN},              /* rorx */

    /* vectors, after 0F */
    {1, 0x10, 0x10, PF3, 0, R, 4, 0, BOTH, VECTOR, PLAIN},               /* movss, movsd, movups, movupd */
    {1, 0x10, 0x10, PF2, 0, R, 8, 0, BOTH, VECTOR, PLAIN},
    {1, 0x10, 0x10, ANY, 0, R, X, 0, BOTH, VECTOR, PLAIN},
    {1, 0x11, 0x11, PF3, 0, W, 4, 0, BOTH, VECTOR, PLAIN},
    {1, 0x11, 0x11, PF2, 0, W, 8, 0, BOTH, VECTOR, PLAIN},
    {1, 0x11, 0x11, ANY, 0, W, X, 0, BOTH, VECTOR, PLAIN},
    {1, 0x12, 0x12, NP, 0, R, 8, 0, BOTH, VECTOR, PLAIN},                /* movlps, movlpd, movhps, movhpd */
    {1, 0x12, 0x12, P66, 0, R, 8, 0, BOTH, VECTOR, PLAIN},
    {1, 0x12, 0x12, PF2, 0, R, XH, 0, BOTH, VECTOR, PLAIN},              /* movddup, movsldup, movshdup */
    {1, 0x12, 0x12, PF3, 0, R, X, 0, BOTH, VECTOR, PLAIN},
    {1, 0x16, 0x16, PF3, 0, R, X, 0, BOTH, VECTOR, PLAIN},
    {1, 0x13, 0x13, ANY, 0, W, 8, 0, BOTH, VECTOR, PLAIN},
    {1, 0x14, 0x15, ANY, 0, R, X, 0, BOTH, VECTOR, PLAIN},               /* unpck */
    {1, 0x16, 0x16, NP, 0, R, 8, 0, BOTH, VECTOR, PLAIN},
    {1, 0x16, 0x16, P66, 0, R, 8, 0, BOTH, VECTOR, PLAIN},
    {1, 0x17, 0x17, ANY, 0, W, 8, 0, BOTH, VECTOR, PLAIN},
    {1, 0x28, 0x28, ANY, 0, R, X, 0, BOTH, VECTOR, PLAIN},               /* movaps, movapd */
    {1, 0x29, 0x29, ANY, 0, W, X, 0, BOTH, VECTOR, PLAIN},
    {1, 0x2A, 0x2A, PF3, 0, R, Y, 0, BOTH, VECTOR, PLAIN},               /* cvtsi2ss, cvtsi2sd */
    {1, 0x2A, 0x2A, PF2, 0, R, Y, 0, BOTH, VECTOR, PLAIN},
    {1, 0x2B, 0x2B, ANY, 0, W, X, 0, BOTH, VECTOR, PLAIN},               /* movnt */
    {1, 0x2C, 0x2D, PF3, 0, R, 4, 0, BOTH, VECTOR, PLAIN},               /* cvttss2si, cvtss2si and sd */
    {1, 0x2C, 0x2D, PF2, 0, R, 8, 0, BOTH, VECTOR, PLAIN},
    {1, 0x2E, 0x2F, NP, 0, R, 4, 0, BOTH, VECTOR, PLAIN},                /* ucomis, comis */
    {1, 0x2E, 0x2F, P66, 0, R, 8, 0, BOTH, VECTOR, PLAIN},
    {1, 0x5A, 0x5A, NP, 0, R, XH, 0, BOTH, VECTOR, PLAIN},               /* cvtps2pd */
    {1, 0x51, 0x5F, PF3, 0, R, 4, 0, BOTH, VECTOR, PLAIN},               /* arithmetic */
    {1, 0x51, 0x5F, PF2, 0, R, 8, 0, BOTH, VECTOR, PLAIN},
    {1, 0x51, 0x5F, ANY, 0, R, X, 0, BOTH, VECTOR, PLAIN},
    {1, 0x60, 0x6D, P66, 0, R, X, 0, BOTH, VECTOR, PLAIN},               /* punpck, pack, pcmpgt */
    {1, 0x6E, 0x6E, P66, 0, R, Y, 0, BOTH, VECTOR, PLAIN},               /* movd, movq */
    {1, 0x6F, 0x6F, P66, 0, R, X, 0, BOTH, VECTOR, PLAIN},               /* movdqa, movdqu */
    {1, 0x6F, 0x6F, PF3, 0, R, X, 0, BOTH, VECTOR, PLAIN},
    {1, 0x6F, 0x6F, PF2, 0, R, X, 0, VEX, VECTOR, PLAIN},
    {1, 0x70, 0x70, ANY, 0, R, X, IB, BOTH, VECTOR, PLAIN},              /* pshuf */
    {1, 0x74, 0x76, P66, 0, R, X, 0, BOTH, VECTOR, PLAIN},               /* pcmpeq */
    {1, 0x7E, 0x7E, P66, 0, W, Y, 0, BOTH, VECTOR, PLAIN},
    {1, 0x7E, 0x7E, PF3, 0, R, 8, 0, BOTH, VECTOR, PLAIN},
    {1, 0x7F, 0x7F, P66, 0, W, X, 0, BOTH, VECTOR, PLAIN},
    {1, 0x7F, 0x7F, PF3, 0, W, X, 0, BOTH, VECTOR, PLAIN},
    {1, 0x7F, 0x7F, PF2, 0, W, X, 0, VEX, VECTOR, PLAIN},
    {1, 0xC2, 0xC2, PF3, 0, R, 4, IB, BOTH, VECTOR, PLAIN},              /* cmpss, cmpsd, cmpps, shufps */
    {1, 0xC2, 0xC2, PF2, 0, R, 8, IB, BOTH, VECTOR, PLAIN},
    {1, 0xC2, 0xC2, ANY, 0, R, X, IB, BOTH, VECTOR, PLAIN},
    {1, 0xC4, 0xC4, P66, 0, R, 2, IB, BOTH, VECTOR, PLAIN},              /* pinsrw */
    {1, 0xC6, 0xC6, ANY, 0, R, X, IB, BOTH, VECTOR, PLAIN},
    {1, 0xD6, 0xD6, P66, 0, W, 8, 0, BOTH, VECTOR, PLAIN},               /* movq */
    {1, 0xE6, 0xE6, PF3, 0, R, XH, 0, BOTH, VECTOR, PLAIN},              /* cvtdq2pd */
    {1, 0xE7, 0xE7, P66, 0, W, X, 0, BOTH, VECTOR, PLAIN},               /* movntdq */
    {1, 0xF0, 0xF0, PF2, 0, R, X, 0, BOTH, VECTOR, PLAIN},               /* lddqu */
    {1, 0xD1, 0xD3, P66, 0, R, 16, 0, BOTH, VECTOR, PLAIN},              /* shifts by a count of 128 bits */
    {1, 0xE1, 0xE2, P66, 0, R, 16, 0, BOTH, VECTOR, PLAIN},
    {1, 0xF1, 0xF3, P66, 0, R, 16, 0, BOTH, VECTOR, PLAIN},
    {1, 0xD4, 0xFE, P66, 0, R, X, 0, BOTH, VECTOR, PLAIN},               /* padd, psub, pand, por, pxor, pmul, pmin, ... */

    /* vectors, after 0F 38 and 0F 3A */
    {2, 0x18, 0x18, P66, 0, R, 4, 0, VEX, VECTOR, PLAIN},                /* vbroadcast */
    {2, 0x19, 0x19, P66, 0, R, 8, 0, VEX, VECTOR, PLAIN},
    {2, 0x1A, 0x1A, P66, 0, R, 16, 0, VEX, VECTOR, PLAIN},
    {2, 0x58, 0x58, P66, 0, R, 4, 0, VEX, VECTOR, PLAIN},
    {2, 0x59, 0x59, P66, 0, R, 8, 0, VEX, VECTOR, PLAIN},
    {2, 0x5A, 0x5A, P66, 0, R, 16, 0, VEX, VECTOR, PLAIN},
    {2, 0x78, 0x78, P66, 0, R, 1, 0, VEX, VECTOR, PLAIN},
    {2, 0x79, 0x79, P66, 0, R, 2, 0, VEX, VECTOR, PLAIN},
    {2, 0x20, 0x20, P66, 0, R, XH, 0, BOTH, VECTOR, PLAIN},              /* pmovsx */
    {2, 0x21, 0x21, P66, 0, R, XQ, 0, BOTH, VECTOR, PLAIN},
    {2, 0x22, 0x22, P66, 0, R, XO, 0, BOTH, VECTOR, PLAIN},
    {2, 0x23, 0x23, P66, 0, R, XH, 0, BOTH, VECTOR, PLAIN},
    {2, 0x24, 0x24, P66, 0, R, XQ, 0, BOTH, VECTOR, PLAIN},
    {2, 0x25, 0x25, P66, 0, R, XH, 0, BOTH, VECTOR, PLAIN},
    {2, 0x30, 0x30, P66, 0, R, XH, 0, BOTH, VECTOR, PLAIN},              /* pmovzx */
    {2, 0x31, 0x31, P66, 0, R, XQ, 0, BOTH, VECTOR, PLAIN},
    {2, 0x32, 0x32, P66, 0, R, XO, 0, BOTH, VECTOR, PLAIN},
    {2, 0x33, 0x33, P66, 0, R, XH, 0, BOTH, VECTOR, PLAIN},
    {2, 0x34, 0x34, P66, 0, R, XQ, 0, BOTH, VECTOR, PLAIN},
    {2, 0x35, 0x35, P66, 0, R, XH, 0, BOTH, VECTOR, PLAIN},
    {2, 0x00, 0x0B, P66, 0, R, X, 0, BOTH, VECTOR, PLAIN},               /* pshufb, phadd, psign, ... */
    {2, 0x10, 0x17, P66, 0, R, X, 0, LEGACY, VECTOR, PLAIN},             /* blendv, ptest */
    {2, 0x17, 0x17, P66, 0, R, X, 0, VEX, VECTOR, PLAIN},
    {2, 0x1C, 0x1E, P66, 0, R, X, 0, BOTH, VECTOR, PLAIN},               /* pabs */
    {2, 0x28, 0x2B, P66, 0, R, X, 0, BOTH, VECTOR, PLAIN},               /* pmuldq, pcmpeqq, movntdqa, packusdw */
    {2, 0x36, 0x41, P66, 0, R, X, 0, BOTH, VECTOR, PLAIN},               /* pcmpgtq, pmin, pmax, pmulld, phminpos */
    {2, 0x45, 0x47, P66, 0, R, X, 0, VEX, VECTOR, PLAIN},                /* vpsrlv, vpsrav, vpsllv */
    {2, 0xDB, 0xDF, P66, 0, R, X, 0, BOTH, VECTOR, PLAIN},               /* aes */
    {3, 0x14, 0x14, P66, 0, W, 1, IB, BOTH, VECTOR, PLAIN},              /* pextr, extractps */
    {3, 0x15, 0x15, P66, 0, W, 2, IB, BOTH, VECTOR, PLAIN},
    {3, 0x16, 0x16, P66, 0, W, Y, IB, BOTH, VECTOR, PLAIN},
    {3, 0x17, 0x17, P66, 0, W, 4, IB, BOTH, VECTOR, PLAIN},
    {3, 0x18, 0x18, P66, 0, R, 16, IB, VEX, VECTOR, PLAIN},              /* vinsert, vextract */
    {3, 0x19, 0x19, P66, 0, W, 16, IB, VEX, VECTOR, PLAIN},
    {3, 0x38, 0x38, P66, 0, R, 16, IB, VEX, VECTOR, PLAIN},
    {3, 0x39, 0x39, P66, 0, W, 16, IB, VEX, VECTOR, PLAIN},
    {3, 0x20, 0x20, P66, 0, R, 1, IB, BOTH, VECTOR, PLAIN},              /* pinsr, insertps */
    {3, 0x21, 0x21, P66, 0, R, 4, IB, BOTH, VECTOR, PLAIN},
    {3, 0x22, 0x22, P66, 0, R, Y, IB, BOTH, VECTOR, PLAIN},
    {3, 0x0A, 0x0A, P66, 0, R, 4, IB, BOTH, VECTOR, PLAIN},              /* round, blend, palignr */
    {3, 0x0B, 0x0B, P66, 0, R, 8, IB, BOTH, VECTOR, PLAIN},
    {3, 0x08, 0x0F, P66, 0, R, X, IB, BOTH, VECTOR, PLAIN},
    {3, 0x02, 0x02, P66, 0, R, X, IB, VEX, VECTOR, PLAIN},               /* vpblendd */
    {3, 0x44, 0x44, P66, 0, R, X, IB, BOTH, VECTOR, PLAIN},              /* pclmulqdq */
    {3, 0x46, 0x46, P66, 0, R, 32, IB, VEX, VECTOR, PLAIN},              /* vperm2i128 */
};

struct prefixes { uint8_t operand, repeat, address, rex_w, rex_r, rex_any, coding, map, mandatory, vector_bytes; };

/* Prefixes up to the opcode. Those kept are in found->copy; an address's segment and size have no effect there. */
static const uint8_t *read_prefixes(const uint8_t *p, struct prefixes *seen, struct instruction *found)
{
    memset(seen, 0, sizeof *seen);
    seen->coding = LEGACY, seen->vector_bytes = 16;
    for (;; p++) {
        if (*p == 0x66)
            seen->operand = 1;
        else if (*p == 0xF2 || *p == 0xF3)
            seen->repeat = *p;
        else if (*p == 0x64 || *p == 0x65 || *p == 0x2E || *p == 0x36 || *p == 0x3E || *p == 0x26)
            continue;
        else if (*p == 0x67) {
            seen->address = 1;
            continue;
        } else if (*p != 0xF0)
            break;
        if (found->copied < 8)
            found->copy[found->copied++] = *p;
    }
    if ((*p & 0xF0) == 0x40) {
        seen->rex_any = 1, seen->rex_w = *p >> 3 & 1, seen->rex_r = *p >> 2 & 1;
        found->copy[found->copied++] = *p++;
    }
    seen->mandatory = seen->repeat == 0xF3 ? PF3 : seen->repeat == 0xF2 ? PF2 : seen->operand ? P66 : NP;
    if (*p == 0xC5 || *p == 0xC4 || *p == 0x62) { /* VEX, EVEX: the mandatory prefix and the map are bits of it */
        static const uint8_t mandatory[] = {NP, P66, PF3, PF2};
        int bytes = *p == 0xC5 ? 2 : *p == 0xC4 ? 3 : 4;
        const uint8_t *last = p + (bytes == 4 ? 2 : bytes - 1);
        seen->coding = VEX;
        seen->map = bytes == 2 ? 1 : p[1] & (bytes == 4 ? 7 : 31);
        seen->rex_w = bytes > 2 && *last >> 7;
        seen->rex_r = !(p[1] >> 7);
        seen->mandatory = mandatory[*last & 3];
        seen->vector_bytes = *last & 4 ? 32 : 16;
        if (bytes == 4) {
            if (p[3] & 0x17) /* a mask, or one element for all */
                seen->map = 0xFF;
            seen->vector_bytes = (uint8_t)(16 << (p[3] >> 5 & 3));
        }
        memcpy(found->copy + found->copied, p, (size_t)bytes);
        found->copied = (uint8_t)(found->copied + bytes);
        return p + bytes;
    }
    if (*p == 0x0F) {
        int bytes = p[1] == 0x38 || p[1] == 0x3A ? 2 : 1;
        seen->map = bytes == 1 ? 1 : p[1] == 0x38 ? 2 : 3;
        memcpy(found->copy + found->copied, p, (size_t)bytes);
        found->copied = (uint8_t)(found->copied + bytes);
        p += bytes;
    }
    return p;
}

static const struct row *find_row(const struct prefixes *seen, uint8_t opcode, uint8_t modrm)
{
    for (const struct row *row = ROWS; row < ROWS + sizeof ROWS / sizeof *ROWS; row++)
        if (row->map == seen->map && opcode >= row->first && opcode <= row->last && row->coding & seen->coding &&
            (row->prefix == ANY || row->prefix == seen->mandatory) && (!row->ext || row->ext >> (modrm >> 3 & 7) & 1))
            return row;
    return NULL;
}

static uint8_t width_of(const struct row *row, const struct prefixes *seen)
{
    switch (row->width) {
    case V: return seen->rex_w ? 8 : seen->operand ? 2 : 4;
    case Y: return seen->rex_w ? 8 : 4;
    case X: return seen->vector_bytes;
    case XH: return seen->vector_bytes / 2;
    case XQ: return seen->vector_bytes / 4;
    case XO: return row->vector ? seen->vector_bytes / 8 : seen->rex_w ? 16 : 8;
    default: return row->width;
    }
}

int decode(const uint8_t *code, struct instruction *found)
{
    struct prefixes seen;
    memset(found, 0, sizeof *found);
    found->reg = 0xFF;
    const uint8_t *p = read_prefixes(code, &seen, found);
    uint8_t opcode = *p++;
    const struct row *row = find_row(&seen, opcode, *p); /* every opcode but a string's and an address's has another byte */
    if (!row)
        return 0;
    found->access = row->access, found->kind = row->kind, found->vector = row->vector, found->width = width_of(row, &seen);
    found->copy[found->copied++] = opcode;
    if (row->kind == MOVS || row->kind == STOS || row->kind == LODS) {
        found->repeated = seen.repeat != 0;
        found->length = (uint8_t)(p - code);
        return !seen.address;
    }
    if (row->map == 0 && (opcode & 0xFC) == 0xA0) {
        found->place = found->copied, found->copied = (uint8_t)(found->copied + 8), found->absolute = 1;
        found->length = (uint8_t)(p + 8 - code);
        return !seen.address;
    }
    uint8_t modrm = *p++, mod = modrm >> 6, rm = modrm & 7, reg = (uint8_t)((modrm >> 3 & 7) | seen.rex_r << 3);
    if (mod == 3)
        return 0;
    if (!row->ext && !row->vector && reg == 4 && (found->width > 1 || seen.rex_any)) /* the stack pointer as a number */
        return 0;
    if (rm == 4) {
        uint8_t sib = *p++;
        if (mod == 0 && (sib & 7) == 5)
            p += 4;
    } else if (mod == 0 && rm == 5)
        p += 4;
    p += mod == 1 ? 1 : mod == 2 ? 4 : 0;
    if (row->kind == BIT)
        found->reg = reg;
    found->copy[found->copied++] = (modrm & 0x38) | 5; /* relative to the instruction pointer */
    found->place = found->copied;
    found->trailing = row->immediate == IZ ? (seen.operand && !seen.rex_w ? 2 : 4) : row->immediate;
    memcpy(found->copy + found->place + 4, p, found->trailing);
    found->copied = (uint8_t)(found->place + 4 + found->trailing);
    found->length = (uint8_t)(p + found->trailing - code);
    return 1;
}
