# SPDX-License-Identifier: BSD-3-Clause
"""Time as our programs take it, without what other work of the machine takes from them: what bounds on time are about."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

# Seconds in which even a machine that others use has a quiet moment. Only a test that fails takes so long.
PATIENCE = 90.0


def once_below(bound: float, measure: Callable[[], float], seconds: float = PATIENCE) -> None:
    """Measure again and again until a value is below the bound. AssertionError with all values if none is.

    For the time of a program on a free machine: a virtual machine whose host runs others is woken late, and no counter in
    it shows that. A program that is slow itself is slow each time.
    """
    values: list[float] = []
    deadline = time.monotonic() + seconds
    while not values or values[-1] >= bound:
        assert not values or time.monotonic() < deadline, f"never below {bound:g}: {values}"
        values.append(measure())


def queued(*processes: int) -> float:
    """Seconds that the threads of these processes (this one, if none is named) were ready to run and waited for a CPU.

    A thread that ends takes its share along, so the time between two calls is never too much by that.
    """
    waited = 0
    for process in processes or (os.getpid(),):
        for task in Path(f"/proc/{process}/task").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):  # it has ended
                waited += int((task / "schedstat").read_text().split()[1])
    return waited / 1e9


class Stopwatch:
    """Runs from when it is made. processes: whose threads' waiting does not count; this one's, if none is named."""

    def __init__(self, *processes: int) -> None:
        self._processes = processes
        self._queued, self._began = queued(*processes), time.monotonic()

    @property
    def wall(self) -> float:
        """Seconds by the clock."""
        return time.monotonic() - self._began

    @property
    def own(self) -> float:
        """Seconds without the waiting. As many threads as wait at once count, so this is the least that it took."""
        return self.wall - max(0.0, queued(*self._processes) - self._queued)
