# SPDX-License-Identifier: BSD-3-Clause
"""Memory of another process, mapped so that the device can reach it, and so that its owner cannot hurt us with it."""

class ClientMemory:
    """`size` bytes at `offset` of the file behind `fd`, which may be closed afterwards. The mapping lasts until `close`."""

    size: int
    address: int
    def __init__(self, fd: int, offset: int, size: int, writable: bool) -> None: ...
    @property
    def lost(self) -> bool:
        """Whether an access found the file cut short: what is mapped since then is empty memory that nobody else sees."""

    def close(self) -> None:
        """Unmap. No device may reach it any more."""
