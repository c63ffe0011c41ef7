# SPDX-License-Identifier: BSD-3-Clause
"""What the halves of a card share: the register memory of a port, the card's lock, its clock."""

class RegisterFile:
    """128 KiB of shared memory, one dword a register. `fd` is a memfd that another process may map."""

    fd: int
    address: int
    size: int
    def peek(self, offset: int) -> int:
        """The dword at a byte offset as it is stored: no access rule, no side effect, no lock."""

    def poke(self, offset: int, value: int) -> None:
        """Store a dword: no access rule, no side effect, no lock."""

class CardLock:
    """A spin lock for a card; its owner may take it again."""

    locked: bool
    def __enter__(self) -> CardLock: ...
    def __exit__(self, *exc: object) -> None: ...

class Clock:
    """ns as the card sees them: real time, or virtual time that only `advance_ns` and the card's own steps move."""

    virtual: bool
    now_ns: int
    def __init__(self, virtual: bool = False) -> None: ...
    def advance_ns(self, ns: int) -> None:
        """Let `ns` nanoseconds of virtual time pass. Nothing happens to a real clock."""

class DataPath:
    """The data path of a port as its controller knows it. This one moves nothing: a port without an engine."""

    def take_violations(self, vf: int | None = None) -> list[tuple[str, int, str, str]]:
        """(register, value, section, what was wrong) for each forbidden thing seen since the last call."""
