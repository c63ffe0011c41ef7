# SPDX-License-Identifier: BSD-3-Clause
"""Types of pmd.model.datapath.systim."""

from dataplane.pmd.model.shared import DataPath

class Systim:
    """SYSTIM of the port that `engine` moves the packets of. The card's lock is held in every call."""

    ppb: int
    def __init__(self, engine: DataPath) -> None: ...
    def read(self) -> int:
        """The low word, now; the high word is latched."""

    @property
    def latched(self) -> int:
        """The high word, as the last read found it."""

    def set_half(self, high: bool, word: int) -> None:
        """One word of it; the other goes on."""

    def adjust(self, by: int, back: bool) -> None:
        """Forward or back by that much, at once."""
