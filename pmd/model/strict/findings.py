# SPDX-License-Identifier: BSD-3-Clause
"""Violations that a strict card found in a driver, each kind once, for a card that reports instead of raising."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dataplane.errors import DatasheetViolation

__all__ = ["ViolationKind", "Findings"]

MOST = 1000
"""Kinds of findings that are kept; a driver that does everything wrong must not fill the memory."""


@dataclass
class ViolationKind:
    """The first violation of a kind, and how many there were of it."""

    text: str
    register: str
    section: str
    count: int = 1


class Findings:
    """Give it to a card as `report`. Two violations are of one kind if device, register and text differ only in numbers.

    tell: called with each kind's first one.
    """

    def __init__(self, tell: Callable[[ViolationKind], None] = lambda finding: None) -> None:
        self._tell = tell
        self._kinds: dict[tuple[str, str], ViolationKind] = {}
        self.total = 0

    def __call__(self, violation: DatasheetViolation) -> None:
        self.total += 1
        text = str(violation)
        # An address without a register is a kind of its own.
        where = violation.register if violation.register.startswith("0x") else violation.section
        kind = _NUMBER.sub("#", text), where
        known = self._kinds.get(kind)
        if known is not None:
            known.count += 1
        elif len(self._kinds) < MOST:
            self._kinds[kind] = finding = ViolationKind(text, violation.register, violation.section)
            self._tell(finding)

    def __len__(self) -> int:
        return len(self._kinds)

    def __iter__(self) -> Iterator[ViolationKind]:
        return iter(tuple(self._kinds.values()))

    def __str__(self) -> str:
        if not self._kinds:
            return "nothing that the datasheet forbids"
        lines = [f"{finding.count:>7} x  {finding.text}" for finding in self._kinds.values()]
        return "\n".join([f"{len(self)} kinds of violations, {self.total} in all:", *lines])


_NUMBER = re.compile(r"0x[0-9a-fA-F]+|\d+(\.\d+)?")
