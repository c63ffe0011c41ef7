# SPDX-License-Identifier: BSD-3-Clause
"""Tails of one function's queues in memory that another process may map, without the registers that lie between them."""

PF_AREAS: tuple[tuple[int, int], ...]
VF_AREAS: tuple[tuple[int, int], ...]

class Doorbells:
    """The tails of a PF or of a VF. They are used once an engine has them (`Engine.attach`).

    wakes: the client wakes a card that rests: it gets `eventfd`, and the word at the start of the last area.
    """

    fd: int
    areas: tuple[tuple[int, int], ...]
    size: int
    virtual: bool
    wakes: bool
    eventfd: int
    def __init__(self, virtual: bool, wakes: bool = False) -> None: ...
    def read(self, offset: int, count: int) -> bytes:
        """Bytes."""

    def write(self, offset: int, data: bytes) -> None:
        """Write bytes, where the tails are and between them."""
