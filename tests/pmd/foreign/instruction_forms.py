# SPDX-License-Identifier: BSD-3-Clause
"""Assembly of every instruction that compilers make of an access to volatile memory, with every form of address.

In a template M is the operand. Data is in rax, rcx, rdx, rsi, r9 and xmm1; other registers address.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

# form, what it adds to the base register, what is in the index register
FORMS = (
    ("(%rbx)", 0, 0),
    ("0x10(%rbx)", 0x10, 0),
    ("-0x1234(%rbx)", -0x1234, 0),
    ("(%rbx,%rdi)", 8, 8),
    ("(%rbp,%rdi,8)", 24, 3),
    ("0x20(%r12,%r14,4)", 0x20 + 20, 5),
    ("-0x12345(%r13,%rdi,2)", -0x12345 + 14, 7),
    ("(%r12)", 0, 0),
    ("(%r13)", 0, 0),
    ("(%rbp)", 0, 0),
    ("(,%r15,1)", 0, 0),
    ("area+256(%rip)", 0, 0),
)
WIDTHS = {  # suffix: registers of the legacy and of the REX encoding, constants
    "b": (("%al", "%ch", "%sil", "%r9b"), ("$0x35",)),
    "w": (("%ax", "%si", "%r9w"), ("$-3", "$0x1234")),
    "l": (("%eax", "%esi", "%r9d"), ("$-3", "$0x12345678")),
    "q": (("%rax", "%rsi", "%r9"), ("$-3", "$0x12345678")),
}


def _arithmetic() -> Iterator[str]:
    for s, (registers, constants) in WIDTHS.items():
        for op in ("add", "or", "adc", "sbb", "and", "sub", "xor", "cmp", "mov"):
            for register in registers:
                yield f"{op}{s} {register}, M"
                yield f"{op}{s} M, {register}"
            yield from (f"{op}{s} {constant}, M" for constant in constants)
        for op in ("test", "xchg"):
            yield from (f"{op}{s} {register}, M" for register in registers)
        yield from (f"test{s} {constant}, M" for constant in constants)
        yield from (f"{op}{s} M" for op in ("not", "neg", "inc", "dec", "mul", "imul"))
        if s != "b":  # its quotient would be too large
            yield from (f"{op}{s} M" for op in ("div", "idiv"))
        for op in ("rol", "ror", "rcl", "rcr", "shl", "shr", "sar"):
            yield from (f"{op}{s} {by}M" for by in ("", "$3, ", "%cl, "))
        for op in ("cmpxchg", "xadd", "lock cmpxchg", "lock xadd"):
            yield from (f"{op}{s} {register}, M" for register in registers)
        for op in ("add", "or", "and", "xor", "sub"):
            yield f"lock {op}{s} {registers[0]}, M"
            yield f"lock {op}{s} {constants[0]}, M"
        yield f"lock inc{s} M"


def _wide() -> Iterator[str]:
    """Those without an 8-bit form."""
    for s in "wlq":
        registers, constants = WIDTHS[s]
        for register in registers:
            yield from (f"{op}{s} M, {register}" for op in ("imul", "bsf", "bsr", "popcnt", "tzcnt", "lzcnt"))
            yield from (f"cmov{condition}{s} M, {register}" for condition in ("e", "ne", "c", "a", "l", "s"))
            for bit in (5, 77, -75):  # in the operand, behind it, before it
                yield from (
                    f"mov{s} ${bit}, {register}; {op}{s} {register}, M"
                    for op in ("bt", "bts", "btr", "btc", "lock bts")
                )
            yield from (f"{op}{s} {by}, {register}, M" for op in ("shld", "shrd") for by in ("$5", "%cl"))
            yield from (f"imul{s} {constant}, M, {register}" for constant in constants)
        yield from (f"{op}{s} $9, M" for op in ("bt", "bts", "btr", "btc", "lock btr"))
        yield from (f"movbe{s} M, {registers[1]}", f"movbe{s} {registers[1]}, M")
        yield f"crc32{s} M, %{'r' if s == 'q' else 'e'}ax"
    yield "crc32b M, %eax"
    for register in ("si", "r9"):
        narrow, middle, wide = (
            (f"%{register}w", f"%{register}d", f"%{register}")
            if register == "r9"
            else ("%si", "%esi", "%rsi")
        )
        yield from (
            f"mov{x}b{s} M, {to}" for x in "zs" for s, to in (("w", narrow), ("l", middle), ("q", wide))
        )
        yield from (f"mov{x}w{s} M, {to}" for x in "zs" for s, to in (("l", middle), ("q", wide)))
        yield f"movslq M, {wide}"
        yield f"movnti {middle}, M"
        yield f"movnti {wide}, M"
    yield from (f"set{condition} M" for condition in ("e", "ne", "c", "a", "l", "s"))
    yield from ("cmpxchg8b M", "lock cmpxchg8b M", "cmpxchg16b M", "lock cmpxchg16b M")
    yield from ("pushq M; popq %rsi", "pushq %rsi; popq M", "pushq %rsi; popq %rsi; pushq M; popq %r9")
    yield from ("clflush M; movl M, %esi", "prefetcht0 M; movl M, %esi")


def _strings() -> Iterator[str]:
    to, back = (
        "lea scratch(%rip), %rdi; mov %r15, %rsi",
        "lea area+256(%rip), %rdi; mov %r15, %rsi; sub $64, %rsi",
    )
    for s in "bwlq":
        yield f"{to}; mov $5, %ecx; rep movs{s}; xor %edi, %edi"
        yield f"{to}; movs{s}; xor %edi, %edi"
        yield f"{back}; mov $5, %ecx; rep movs{s}"
        yield f"lea area+256(%rip), %rdi; mov $3, %ecx; rep stos{s}"
        yield f"std; lea area+256(%rip), %rdi; mov $3, %ecx; rep stos{s}; cld"
        yield f"mov %r15, %rsi; lods{s}"


def _absolute() -> Iterator[str]:
    for register in ("%al", "%ax", "%eax", "%rax"):
        yield f"movabs area+256, {register}"
        yield f"movabs {register}, area+256"


def _vectors(avx: bool) -> Iterator[str]:
    """avx: the same by its three-operand form, where there is one."""
    v, dest = ("v", ", %xmm1") if avx else ("", "")
    for op in ("movd", "movss", "movdqu", "movdqa", "movups", "movaps", "movupd", "movapd"):
        yield from (f"{v}{op} M, %xmm1", f"{v}{op} %xmm1, M")
    yield from (f"{v}movq M, %xmm1", f"{v}movq %xmm1, M", f"{v}movsd M, %xmm1", f"{v}movsd %xmm1, M")
    for op in ("movlps", "movhps", "movlpd", "movhpd"):
        yield from (f"{v}{op} M{dest}, %xmm1", f"{v}{op} %xmm1, M")
    for op in (
        "paddd", "paddq", "psubb", "pand", "pandn", "por", "pxor", "pcmpeqd", "pcmpgtb", "punpckldq", "packssdw", "pmulld",
        "pshufb", "pminud", "andps", "xorps", "orpd", "unpcklps",
    ):  # fmt: skip
        yield f"{v}{op} M{dest}, %xmm1"
    yield from (
        f"{v}{op} M, %xmm1"
        for op in ("pabsd", "lddqu", "movntdqa", "movddup", "movshdup", "ptest", "ucomiss", "ucomisd")
    )
    yield from (f"{v}{op} %xmm1, M" for op in ("movntdq", "movntps"))
    yield from (
        f"{v}pmov{x}{pair} M, %xmm1" for x in ("zx", "sx") for pair in ("bw", "bd", "bq", "wd", "wq", "dq")
    )
    yield from (f"{v}pinsr{s} $1, M{dest}, %xmm1" for s in "bwdq")
    yield from (f"{v}pextr{s} $1, %xmm1, M" for s in "bwdq")
    yield from (
        f"{v}insertps $0x10, M{dest}, %xmm1",
        f"{v}extractps $2, %xmm1, M",
        f"{v}pshufd $0x1B, M, %xmm1",
    )
    yield from (f"{v}{op} $5, M{dest}, %xmm1" for op in ("palignr", "shufps", "blendps", "pblendw"))
    yield from (f"{v}cvtsi2sd{s} M{dest}, %xmm1" for s in "lq")
    yield from (f"{v}psll{s} M{dest}, %xmm1" for s in "wdq")
    yield from (f"{v}{op} M, %rsi" for op in ("cvttsd2si", "cvttss2si"))


def _avx2() -> Iterator[str]:
    for op in ("vmovdqu", "vmovups"):
        yield from (f"{op} M, %ymm1", f"{op} %ymm1, M")
    yield from (f"vpbroadcast{s} M, %{r}mm1" for s in "bwdq" for r in "xy")
    yield from (
        "vbroadcastss M, %ymm1",
        "vbroadcasti128 M, %ymm1",
        "vpaddd M, %ymm1, %ymm1",
        "vpsrlvd M, %ymm1, %ymm1",
    )
    yield from (
        "vinserti128 $1, M, %ymm1, %ymm1",
        "vextracti128 $1, %ymm1, M",
        "vpmovzxbd M, %ymm1",
        "vpblendd $3, M, %ymm1, %ymm1",
    )


def _avx512() -> Iterator[str]:
    """Registers from 16 on have an encoding of their own."""
    yield from ("vmovd M, %xmm17; vmovdqa64 %xmm17, %xmm1", "vmovdqa64 %xmm1, %xmm17; vmovd %xmm17, M")
    yield from ("vmovq M, %xmm17; vmovdqa64 %xmm17, %xmm1", "vmovdqa64 %xmm1, %xmm17; vmovq %xmm17, M")
    yield from (
        "vmovdqu64 M, %zmm17; vextracti64x4 $1, %zmm17, %ymm1",
        "vmovdqu32 M, %ymm17; vmovdqa64 %ymm17, %ymm1",
    )
    yield from (
        "vpbroadcastq %rsi, %zmm17; vmovdqu64 %zmm17, M",
        "vpaddd M, %ymm1, %ymm17; vmovdqa64 %ymm17, %ymm1",
    )


def _bmi() -> Iterator[str]:
    for a, b in (("%esi", "%r9d"), ("%rsi", "%r9")):
        yield from (f"{op} {a}, M, {b}" for op in ("bextr", "bzhi", "sarx", "shlx", "shrx"))
        yield from (f"{op} M, {a}, {b}" for op in ("andn", "pdep", "pext", "mulx"))
        yield from (f"{op} M, {b}" for op in ("blsr", "blsi", "blsmsk"))
        yield f"rorx $7, M, {b}"


def templates(cpu: set[str]) -> Iterator[str]:
    """All of them that this CPU runs. cpu: the flags of /proc/cpuinfo."""
    yield from _arithmetic()
    yield from _wide()
    yield from _strings()
    yield from _absolute()
    yield from _vectors(avx=False)
    for flag, more in (
        ("avx", _vectors(avx=True)),
        ("avx2", _avx2()),
        ("avx512vl", _avx512()),
        ("bmi2", _bmi()),
    ):
        if flag in cpu:
            yield from more
    if "adx" in cpu:
        yield from ("adcx M, %rsi", "adcx M, %r9d", "adox M, %esi", "adox M, %r9")
    if "movdiri" in cpu:
        yield from ("movdiri %esi, M", "movdiri %r9, M")


def _with(template: str, operand: str) -> str:
    return re.sub(r"\bM\b", operand, template)


def cpu_flags() -> set[str]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return set(next(line for line in lines if line.startswith("flags")).split())


def assembly(cpu: set[str]) -> str:
    """The source of all cases, and their table."""
    code, table, texts = (
        [".text"],
        ['.section .data.rel.ro,"aw"', ".balign 8", ".globl cases", "cases:"],
        [".section .rodata"],
    )
    count = 0
    for template in templates(cpu):
        words = template.replace(";", " ").replace(",", " ").split()
        for form, delta, index in FORMS if "M" in words else FORMS[:1]:
            if "%ch" in words and "%r1" in form:  # it has no encoding beside registers from 8 on
                continue
            text = _with(template, form) if "M" in words else template
            code.append(f"c{count}: {text}; ret")
            texts.append(f't{count}: .string "{text}"')
            table.append(f".quad c{count}, t{count}, {delta}, {index}")
            count += 1
    table += [".globl case_count", "case_count:", f".long {count}"]
    return "\n".join([*code, *texts, *table, '.section .note.GNU-stack,"",@progbits', ""])
