# SPDX-License-Identifier: BSD-3-Clause
"""The registers that a VF sees in its own BAR0 of 16 KiB, and where each really lies (datasheet 9.4, 8.3).

The VF's page is a window: the chip turns an access into one to a PF register, with the VF's number put in.
Each line names that register and how it is found; ``twin`` does the translation. Fields, access and reset
values are those of the PF's register, under the same names, so one driver serves both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dataplane.pmd.datasheet.registers import general, link, rx, tx
from dataplane.pmd.datasheet.registers import virtualization as pf
from dataplane.pmd.datasheet.registers.filters import PSRTYPE
from dataplane.pmd.register import AddressMap, Register, RegisterRef, bits

QUEUES = 8
"""Queues that the page has room for; a pool has 2, 4 or 8."""


@dataclass(frozen=True, slots=True, eq=False)
class TwinRule:
    """Which of the PF's registers is meant: ``at(vf, index in the page, queues of a pool)``."""

    at: Callable[[int, int, int], int]
    count: int = 1
    step: int = 4


SHARED = TwinRule(lambda vf, i, queues: 0)
BY_VF = TwinRule(lambda vf, i, queues: vf)
BY_QUEUE = TwinRule(lambda vf, i, queues: vf * queues + i, QUEUES, 0x40)
BY_QUEUE_PAIR = TwinRule(lambda vf, i, queues: vf * queues // 2 + i, QUEUES // 2)
BY_VECTOR = TwinRule(lambda vf, i, queues: vf * 2 + i, 2)
BY_WORD = TwinRule(lambda vf, i, queues: vf * 16 + i, 16)

TWINS: dict[Register, tuple[Register, TwinRule]] = {}
"""VF register to PF register and rule."""


def _window(name: str, offset: int, twin: Register, rule: TwinRule) -> Register:
    line = Register(name, offset, "9.4", count=rule.count, step=rule.step, like=twin)
    TWINS[line] = twin, rule
    return line


# fmt: off
VFCTRL      = _window("VFCTRL",      0x00000, pf.PVFCTRL, BY_VF)
VFSTATUS    = _window("VFSTATUS",    0x00008, general.STATUS, SHARED)
VFLINKS     = _window("VFLINKS",     0x00010, link.LINKS, SHARED)
VFFRTIMER   = _window("VFFRTIMER",   0x00048, general.FRTIMER, SHARED)
VTEICR      = _window("VTEICR",      0x00100, pf.PVTEICR, BY_VF)
VTEICS      = _window("VTEICS",      0x00104, pf.PVTEICS, BY_VF)
VTEIMS      = _window("VTEIMS",      0x00108, pf.PVTEIMS, BY_VF)
VTEIMC      = _window("VTEIMC",      0x0010C, pf.PVTEIMC, BY_VF)
VTEIAC      = _window("VTEIAC",      0x00110, pf.PVTEIAC, BY_VF)
VTEIAM      = _window("VTEIAM",      0x00114, pf.PVTEIAM, BY_VF)
VTIVAR      = _window("VTIVAR",      0x00120, pf.PVTIVAR, BY_QUEUE_PAIR)          # queues 2i and 2i + 1
VTIVAR_MISC = _window("VTIVAR_MISC", 0x00140, pf.PVTIVAR_MISC, BY_VF)
VTRSCINT    = _window("VTRSCINT",    0x00180, pf.PVTRSCINT, BY_VECTOR)
VFMBMEM     = _window("VFMBMEM",     0x00200, pf.PFMBMEM, BY_WORD)
VFMAILBOX   = _window("VFMAILBOX",   0x002FC, pf.PVFMAILBOX, BY_VF)
VFPSRTYPE   = _window("VFPSRTYPE",   0x00300, PSRTYPE, BY_VF)
VFRXMEMWRAP = _window("VFRXMEMWRAP", 0x03190, rx.RXMEMWRAP, SHARED)

VFRDBAL     = _window("VFRDBAL",     0x01000, rx.RDBAL, BY_QUEUE)
VFRDBAH     = _window("VFRDBAH",     0x01004, rx.RDBAH, BY_QUEUE)
VFRDLEN     = _window("VFRDLEN",     0x01008, rx.RDLEN, BY_QUEUE)
VFDCA_RXCTRL = _window("VFDCA_RXCTRL", 0x0100C, rx.DCA_RXCTRL, BY_QUEUE)
VFRDH       = _window("VFRDH",       0x01010, rx.RDH, BY_QUEUE)
VFSRRCTL    = _window("VFSRRCTL",    0x01014, rx.SRRCTL, BY_QUEUE)
VFRDT       = _window("VFRDT",       0x01018, rx.RDT, BY_QUEUE)
VFRXDCTL    = _window("VFRXDCTL",    0x01028, rx.RXDCTL, BY_QUEUE)
VFRSCCTL    = _window("VFRSCCTL",    0x0102C, rx.RSCCTL, BY_QUEUE)
VFTDBAL     = _window("VFTDBAL",     0x02000, tx.TDBAL, BY_QUEUE)
VFTDBAH     = _window("VFTDBAH",     0x02004, tx.TDBAH, BY_QUEUE)
VFTDLEN     = _window("VFTDLEN",     0x02008, tx.TDLEN, BY_QUEUE)
VFDCA_TXCTRL = _window("VFDCA_TXCTRL", 0x0200C, tx.DCA_TXCTRL, BY_QUEUE)
VFTDH       = _window("VFTDH",       0x02010, tx.TDH, BY_QUEUE)
VFTDT       = _window("VFTDT",       0x02018, tx.TDT, BY_QUEUE)
VFTXDCTL    = _window("VFTXDCTL",    0x02028, tx.TXDCTL, BY_QUEUE)
VFTDWBAL    = _window("VFTDWBAL",    0x02038, tx.TDWBAL, BY_QUEUE)
VFTDWBAH    = _window("VFTDWBAH",    0x0203C, tx.TDWBAH, BY_QUEUE)

# Counters of the VF: a read leaves them, they wrap, and a reset does not zero them.
VFGPRC      = _window("VFGPRC",      0x0101C, pf.PVFGPRC, BY_VF)
VFGORC_LSB  = _window("VFGORC_LSB",  0x01020, pf.PVFGORC_LSB, BY_VF)
VFGORC_MSB  = _window("VFGORC_MSB",  0x01024, pf.PVFGORC_MSB, BY_VF)
VFMPRC      = _window("VFMPRC",      0x01034, pf.PVFMPRC, BY_VF)
VFGPTC      = _window("VFGPTC",      0x0201C, pf.PVFGPTC, BY_VF)
VFGOTC_LSB  = _window("VFGOTC_LSB",  0x02020, pf.PVFGOTC_LSB, BY_VF)
VFGOTC_MSB  = _window("VFGOTC_MSB",  0x02024, pf.PVFGOTC_MSB, BY_VF)

# SILENT: which of the PF's EITR and PBA bits stand behind these two; a VF has its own.
VTEITR      = Register("VTEITR",     0x00820, "9.4", count=2, INTERVAL=bits[11:3])
VFPBACL     = Register("VFPBACL",    0x00148, "9.4")
# fmt: on

_MAP = AddressMap([*TWINS, VTEITR, VFPBACL])

ALL: tuple[Register, ...] = _MAP.registers
"""Every register of a VF, by offset."""

decode = _MAP.decode
"""The VF's register at an offset of its BAR0, None if no register is there."""


def twin(vf: int, register: RegisterRef, queues: int) -> RegisterRef | None:
    """The PF's register behind a VF's.

    vf: its number. queues: of a pool, 2, 4 or 8 (GCR_EXT.VT_MODE 64, 32, 16). None for a register that only
    the VF has, and for a queue that the pool does not have.
    """
    if register.register not in TWINS:
        return None
    line, rule = TWINS[register.register]
    if register.index >= {BY_QUEUE: queues, BY_QUEUE_PAIR: queues // 2}.get(rule, rule.count):
        return None
    return line[rule.at(vf, register.index, queues)]
