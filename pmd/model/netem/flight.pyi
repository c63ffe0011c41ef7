# SPDX-License-Identifier: BSD-3-Clause
"""Types of pmd.model.netem.flight."""

from dataplane.pmd.model.netem.conditions import Netem

class Flight:
    netem: Netem
    sent: int
    delivered: int
    lost: int
    overflowed: int
    corrupted: int
    duplicated: int
    reordered: int
    late: int
    next_due: int
    def __init__(self, netem: Netem, way: int = 0) -> None: ...
    @property
    def in_flight(self) -> int: ...
    @property
    def counters(self) -> dict[str, int]: ...
