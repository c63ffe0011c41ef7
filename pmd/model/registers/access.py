# SPDX-License-Identifier: BSD-3-Clause
"""What a read and a write do to each dword of BAR0, derived from the datasheet's tables.

Everything that can be said by masks is said here; what cannot (CTRL.RST, EERD, SWSM, ...) is a method of a `Block`,
registered by the register's name. The controller turns these rules into one table of C structs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from dataplane.pmd.datasheet import ALL, RC, RS, RW, SC, W1C, W1S, WO, Register, RegisterRef, decode

__all__ = [
    "NATIVE",
    "RAMS",
    "SHARED",
    "WORD",
    "Rule",
    "find",
    "ram_offsets",
    "reset_words",
    "rule_of",
    "rules",
]

WORD = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class Rule:
    """One address: which register answers there (canonical offset), and its bits by what an access does to them."""

    offset: int
    canonical: int
    write: int  # takes the written value
    set: int  # a 1 sets
    clear: int  # a 1 clears
    pulse: int  # write 1 to start something; hardware clears (a Block may store it for a while)
    read_clears: int
    read_sets: int
    readable: int  # the rest reads 0


def rule_of(register: RegisterRef, offset: int | None = None) -> Rule:
    """The rule of a register, answering at `offset` (None: its own address)."""
    return Rule(
        offset=register.offset if offset is None else offset,
        canonical=register.offset,
        write=register.bits(RW, RS),
        set=register.bits(W1S),
        clear=register.bits(W1C),
        pulse=register.bits(SC),
        read_clears=register.bits(RC),
        read_sets=register.bits(RS),
        readable=WORD & ~register.bits(WO),
    )


def rules() -> Iterator[Rule]:
    """A rule for every address at which BAR0 answers, aliases included."""
    for line in ALL:
        for offset, index in line.addresses():
            yield rule_of(line[index], offset)


def find(offset: int) -> RegisterRef | None:
    """The register at an offset of BAR0, None when the datasheet has none there."""
    return decode(offset)


# Interrupt registers whose side effects are compiled (pmd.model.interrupts.pf).
NATIVE = ("EICR", "EICS", "EIMS", "EIMC", "EICS_EX", "EIMS_EX", "EIMC_EX")

# Common to both ports of a card: a change shows in both register files.
SHARED = ("SWSM", "SW_FW_SYNC", "FACTPS")

# Tables in RAM: undefined after power-up, and a reset does not touch them (datasheet 4.6.3; 4.2 of the sister chip's).
RAMS = (
    "MTA",
    "VFTA",
    "MPSAR_LO",
    "MPSAR_HI",
    "UTA",
    "VLVF",
    "VLVFB",
    "PFMBMEM",
    "SAQF",
    "DAQF",
    "SDPQF",
    "FTQF",
    "L34TIMIR",
)

# A reset of the port leaves these alone: they belong to the card, the firmware, or a host that sets them by config space.
_KEPT = frozenset(SHARED) | {"FWSM", "FRTIMER", "MREVID", "BARCTRL", "GRC", "EEMNGCTL", "STATUS", "LINKS"}


@cache
def reset_words(power_up: bool) -> tuple[tuple[int, int], ...]:
    """(offset, value) of what a reset writes. Power-up reaches everything; CTRL.RST spares RAMs and what is not its own."""
    spared = () if power_up else {*RAMS, *_KEPT}
    return tuple((ref.offset, ref.reset) for line in ALL if line.name not in spared for ref in _each(line))


def _each(line: Register) -> Iterator[RegisterRef]:
    return (line[n] for n in range(line.count))


@cache
def ram_offsets() -> list[int]:
    """Where the tables in RAM are."""
    return [ref.offset for line in ALL if line.name in RAMS for ref in _each(line)]
