# SPDX-License-Identifier: BSD-3-Clause
"""The rules of each dword of BAR0: effects of a read and a write, derived from the datasheet's tables.

These rules are masks. Side effects that masks cannot express (CTRL.RST, EERD, SWSM, ...) are methods of a
`RegisterBlock`. Each card has a copy of the rules as C structs (`rules.RuleTable`).
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
    "AccessRule",
    "find",
    "ram_offsets",
    "reset_words",
    "rule_of",
    "rules",
]

WORD = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class AccessRule:
    """The rule of one address: the register that answers there, and masks of bits by what an access does to them."""

    name: str  # the register's line in the datasheet, as in "RDT"
    offset: int
    canonical: int  # the register's own offset, if `offset` is an alias
    write: int  # takes the written value
    set: int  # a 1 sets
    clear: int  # a 1 clears
    pulse: int  # write 1 to start something; hardware clears (a RegisterBlock may store it for a while)
    read_clears: int
    read_sets: int
    readable: int  # other bits read 0


def rule_of(register: RegisterRef, offset: int | None = None) -> AccessRule:
    """The rule of a register, answering at `offset` (None: its own address)."""
    return AccessRule(
        name=register.register.name,
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


@cache
def rules() -> tuple[AccessRule, ...]:
    """A rule for every address at which BAR0 answers, aliases included."""
    return tuple(rule_of(line[index], offset) for line in ALL for offset, index in line.addresses())


def find(offset: int) -> RegisterRef | None:
    """The register at an offset of BAR0, or None."""
    return decode(offset)


# Interrupt registers whose side effects are compiled (interrupts/pf.pyx).
NATIVE = ("EICR", "EICS", "EIMS", "EIMC", "EICS_EX", "EIMS_EX", "EIMC_EX")

# Shared by both ports of a card: a change is visible in both register files.
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

# A reset of the port does not change these. They belong to the card, to firmware, or to a host that sets them by
# configuration space.
_KEPT = frozenset(SHARED) | {"FWSM", "FRTIMER", "MREVID", "BARCTRL", "GRC", "EEMNGCTL", "STATUS", "LINKS"}


@cache
def reset_words(power_up: bool) -> tuple[tuple[int, int], ...]:
    """(offset, value) of each word that a reset writes. Power-up resets all registers; CTRL.RST omits RAMS and _KEPT."""
    spared = () if power_up else {*RAMS, *_KEPT}
    return tuple((ref.offset, ref.reset) for line in ALL if line.name not in spared for ref in _each(line))


def _each(line: Register) -> Iterator[RegisterRef]:
    return (line[n] for n in range(line.count))


@cache
def ram_offsets() -> list[int]:
    """Offsets of the tables in RAM."""
    return [ref.offset for line in ALL if line.name in RAMS for ref in _each(line)]
