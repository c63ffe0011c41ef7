# SPDX-License-Identifier: BSD-3-Clause
"""Interrupts of one port: causes, masks, moderation and MSI-X vectors (datasheet 7.3, 8.2.3.5)."""

from dataplane.pmd.model.interrupts.vf import VfInterrupts
from dataplane.pmd.model.shared import Clock, RegisterFile

class Interrupts:
    """Causes in, eventfds out. One for each port. Callers hold the card's lock."""

    clock: Clock
    vfs: VfInterrupts
    fired: int
    pending_bits: int
    def __init__(self, registers: RegisterFile, clock: Clock) -> None: ...
    def connect(self, vector: int, eventfd: int) -> None:
        """Signal a duplicate of that eventfd when the vector fires; -1 ends it. DeviceError for a vector there is not."""

    def count(self, vector: int) -> int:
        """How often a vector has fired."""

    def table_mask(self, vector: int, on: bool) -> None:
        """Set or lift the mask bit of a vector's MSI-X table entry."""

    def raise_queue(self, kind: str, queue: int) -> None:
        """A cause of a queue, as the data path raises it: kind "rx" or "tx"."""

    def raise_other(self, bits: int) -> None:
        """Causes of EICR[31:16]."""

    def run(self) -> None:
        """What each step of the engine does: end of moderation intervals, delays of the chip."""

    def disconnect(self) -> None:
        """Forget every eventfd."""
