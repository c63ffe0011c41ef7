# SPDX-License-Identifier: BSD-3-Clause
"""Types of dataplane.engine.stepping."""

from collections.abc import Sequence

from dataplane.engine.lcore import Loop

def run_laps_by_turns(loops: Sequence[Loop], laps: int, *, ending: bool = False) -> bool: ...
