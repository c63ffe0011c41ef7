# SPDX-License-Identifier: BSD-3-Clause
"""Every register access by name: ``model0 W RXDCTL[3] = 0x02000000 (ENABLE)``."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from dataplane.pmd.datasheet import RegisterRef
from dataplane.pmd.model.registers.access import find as register_at

__all__ = ["TracedAccess", "Trace", "Writable"]

log = logging.getLogger("dataplane")


class Writable(Protocol):
    """A file that a trace can write to."""

    def write(self, text: str, /) -> object:
        """Append a line."""


@dataclass(frozen=True, slots=True)
class TracedAccess:
    """One access. kind: "R" or "W"; ns: by the card's clock; value: read or written."""

    device: str
    ns: int
    kind: str
    offset: int
    value: int
    find: Callable[[int], RegisterRef | None] = register_at

    @property
    def name(self) -> str:
        """The register's name; its offset where the datasheet has none."""
        register = self.find(self.offset)
        return register.name if register is not None else f"unknown {self.offset:#07x}"

    def __str__(self) -> str:
        register = self.find(self.offset)
        said = register.describe(self.value) if register else f"{self.name} = {self.value:#010x}"
        return f"{self.device} {self.kind} {said}"


class Trace:
    """The last `keep` accesses to a port, oldest first; each also goes to `each` and, as a line, to `file`.
    A file that takes no more ends that part with one warning; nothing else is disturbed.

    find: the register at an offset; a VF has its own. Costs nothing on a port that has none: `Card.trace(port)` puts one
    there, `Card.untrace` takes it away.
    """

    def __init__(
        self, device: str, now: Callable[[], int], *, keep: int = 4096, each: Callable[[TracedAccess], None] | None = None,
        file: Writable | None = None, find: Callable[[int], RegisterRef | None] = register_at,
    ) -> None:  # fmt: skip
        self.device, self._now, self._each, self._file, self._find = device, now, each, file, find
        self._kept: deque[TracedAccess] = deque(maxlen=keep)

    def __call__(self, kind: str, offset: int, value: int) -> None:
        access = TracedAccess(self.device, self._now(), kind, offset, value, self._find)
        self._kept.append(access)
        if self._each is not None:
            self._each(access)
        if self._file is not None:
            try:
                self._file.write(f"{access}\n")
            except (OSError, ValueError) as error:  # a full disk; a file that was closed
                self._file = None
                log.warning("%s: the trace of it ends here: %s; all else goes on", self.device, error)

    def __iter__(self) -> Iterator[TracedAccess]:
        return iter(tuple(self._kept))

    def __len__(self) -> int:
        return len(self._kept)

    def clear(self) -> None:
        """Forget what is kept."""
        self._kept.clear()

    def writes(self, name: str) -> list[int]:
        """The values written to a register, by its name."""
        return [access.value for access in self._kept if access.kind == "W" and access.name == name]

    def __str__(self) -> str:
        return "\n".join(map(str, self._kept))
