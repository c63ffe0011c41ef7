# SPDX-License-Identifier: BSD-3-Clause
"""Interrupts of a port's VFs: each has three vectors. The card's lock is held in every call."""

from dataplane.pmd.model.shared import Clock, RegisterFile

class VfInterrupts:
    """Causes in, eventfds out, for 64 VFs of a port."""

    clock: Clock
    def __init__(self, registers: RegisterFile, clock: Clock) -> None: ...
    def mailbox(self, vf: int) -> None:
        """A cause of the VF's mailbox: VTIVAR_MISC says which vector."""

    def raise_vectors(self, vf: int, vectors: int) -> None:
        """VTEICS: software sets causes."""

    def acknowledge(self, vf: int, vectors: int) -> None:
        """VTEICR: these causes have been seen."""

    def unmask(self, vf: int, vectors: int) -> None:
        """VTEIMS."""

    def mask(self, vf: int, vectors: int) -> None:
        """VTEIMC."""

    def interval(self, vf: int, n: int) -> int:
        """VTEITR(n), n 0 or 1."""

    def set_interval(self, vf: int, n: int, value: int) -> None:
        """VTEITR(n): [11:3] in steps of 2.048 us."""

    def forget(self, vf: int) -> None:
        """The VF was reset: nothing is under way. Its registers are the caller's."""

    def set_alive(self, vfs: int) -> None:
        """The VFs that may send messages, a bit each: they are there, and bus masters with MSI-X on."""

    def connect(self, vf: int, vector: int, eventfd: int) -> None:
        """Signal a duplicate of that eventfd when the VF's vector fires; -1 ends it. DeviceError for one there is not."""

    def count(self, vf: int, vector: int) -> int:
        """How often a vector has fired."""

    def table_mask(self, vf: int, vector: int, on: bool) -> None:
        """The mask bit of a vector's MSI-X table entry."""

    def pending_bits(self, vf: int) -> int:
        """Vectors that fired while masked."""

    def clear_pending(self, vf: int, vectors: int) -> None:
        """VFPBACL."""

    def disconnect(self) -> None:
        """Forget every eventfd."""
