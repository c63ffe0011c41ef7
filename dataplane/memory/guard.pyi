# SPDX-License-Identifier: BSD-3-Clause
"""Types of dataplane.memory.guard."""

QUICK: int

def seals_of(fd: int) -> int: ...
def losses() -> int: ...

class PeerMemory:
    size: int
    mapped: int
    address: int
    quick: bool
    def __init__(self, fd: int, offset: int, size: int, writable: bool) -> None: ...
    @property
    def lost(self) -> bool: ...
    def close(self) -> None: ...
