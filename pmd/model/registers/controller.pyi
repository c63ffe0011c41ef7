# SPDX-License-Identifier: BSD-3-Clause
"""One port's register file: every access goes by the rule of its register, and by the Block method registered for it."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from dataplane.pmd.datasheet import Register
from dataplane.pmd.model.config.pf import PfConfig
from dataplane.pmd.model.interrupts.pf import Interrupts
from dataplane.pmd.model.registers.rules import RuleTable
from dataplane.pmd.model.shared import CardLock, Clock, DataPath, RegisterFile

class Controller:
    """The registers of one port. `read` and `write` are what the bus does; the rest is for the chip's own blocks.

    Outside an access, a caller must hold `lock` for everything except read, write, and the properties.
    """

    name: str
    port: int
    registers: RegisterFile
    interrupts: Interrupts
    clock: Clock
    lock: CardLock
    engine: Any
    gone: bool
    asleep: bool
    stopped: bool
    read_ns: int
    write_ns: int
    trace: Any
    strict: Any
    config: PfConfig
    on_carrier: Callable[[bool], None] | None
    def __init__(
        self,
        name: str,
        port: int,
        registers: RegisterFile,
        interrupts: Interrupts,
        lock: CardLock,
        engine: DataPath,
        rules: RuleTable,
    ) -> None: ...
    def read(self, offset: int) -> int:
        """A 32-bit read at a byte offset of BAR0. The strict manner raises DatasheetViolation."""

    def write(self, offset: int, value: int) -> int:
        """A 32-bit write at a byte offset of BAR0. The strict manner raises DatasheetViolation."""

    def read_twin(self, offset: int) -> int:
        """A read by a VF, whose BAR has turned it into one of this register (canonical offset). The lock is held."""

    def write_twin(self, offset: int, value: int) -> None:
        """A write by a VF likewise."""

    def read_bytes(self, offset: int, size: int) -> bytes:
        """A read of any size, answered from whole registers. The strict manner raises DatasheetViolation for odd ones."""

    def write_bytes(self, offset: int, data: bytes) -> None:
        """A write of any size; what does not cover a whole register is discarded, or a DatasheetViolation."""

    def after(self, ns: int, offset: int, clear: int = 0, set: int = 0, cause: int = 0) -> None:
        """In `ns` the register loses the bits `clear` and gets the bits `set`; `cause` goes to EICR."""

    def forget(self, offset: int | None = None, touching: int = 0xFFFFFFFF) -> None:
        """Drop the delayed effects on a register that touch some of these bits; on all registers when it is None."""

    def is_pending(self, offset: int) -> bool:
        """Whether something is to happen to that register."""

    def attach(
        self,
        line: Register,
        reads: Callable[[int, int], int] | None = None,
        writes: Callable[[int, int, int, int], int] | None = None,
    ) -> None:
        """Send reads and writes of the registers of a datasheet line to these methods (None: the rule alone)."""

    def has_side_effects(self, offset: int) -> bool:
        """Whether a Block decides about reads or writes of that register."""

    def peek(self, offset: int) -> int:
        """The word as it is stored."""

    def address(self, offset: int) -> int:
        """Where the word is in this process's memory."""

    def poke(self, offset: int, value: int) -> None:
        """Store a word (bits that are stuck stay so), and let the data path know."""

    def load(self, words: Iterable[tuple[int, int]]) -> None:
        """Store many (offset, value) without telling the data path: a reset tells it once."""

    def tell(self, offset: int, value: int) -> None:
        """Show the data path a write as it came, strobes included."""

    def engine_runs(self, control: int = 0) -> None:
        """Whether the data path may reach memory, as the command register and CTRL (the word given) say."""

    def record_violations(self, on: bool) -> None:
        """Whether the data path takes note of what the datasheet forbids."""

    def take_violations(self, vf: int | None = None) -> list[tuple[str, int, str, str]]:
        """Violations that the data path found since the last call: (register, value, section, message)."""

    def shine(self, on: bool) -> None:
        """Whether the other end of the wire sees our light."""

    def set_pace(self, speed: int) -> None:
        """At what LINKS.SPEED our end of the wire is, 0 while it is set up for none."""

    def restart_engine(self) -> None:
        """After a reset: the data path and the interrupts start from the registers as they are now."""

    def cause(self, bits: int) -> None:
        """Causes of EICR[31:16]."""

    def hold(self, offset: int, mask: int, value: int) -> None:
        """A fault: these bits read, and are stored, as `value` from now on. ConfigError after 16 of them."""

    def release(self) -> None:
        """No bit is stuck any more. The registers keep the values that they have."""

    def set_power(self, gone: bool, asleep: bool) -> None:
        """Whether the registers answer: pulled out for good, or not decoded for now."""

    def run(self) -> None:
        """Let what is due happen: delays of the chip, moderated interrupts."""

def step_all(chips: Sequence[Controller], steps: int, budget: int, ns: int) -> int:
    """`steps` times: `ns` of virtual time pass and every port moves up to `budget` packets a direction."""
