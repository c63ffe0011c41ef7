# SPDX-License-Identifier: BSD-3-Clause
"""Types of dataplane.stepping."""

from collections.abc import Sequence

from dataplane.lcore import Loop

def step_together(loops: Sequence[Loop], laps: int, *, ending: bool = False) -> bool: ...
