# SPDX-License-Identifier: BSD-3-Clause
"""How noisy the machine is while something is measured: what others take of its CPUs, and how much slices differ."""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from pathlib import Path

_USER, _NICE, _SYSTEM, _IDLE, _IOWAIT, _IRQ, _SOFTIRQ, _STEAL = range(
    8
)  # the columns of /proc/stat (proc(5))


class Noise:
    """From where it is made on. `say()` has what the machine did meanwhile, besides this process and its children."""

    def __init__(self) -> None:
        self._before, self._ours_before = _ticks(), _ours()

    def _spent(self) -> list[int]:
        return [now - before for now, before in zip(_ticks(), self._before, strict=True)]

    def others(self) -> float:
        """CPUs that other programs took, on average."""
        spent, tick = self._spent(), os.sysconf("SC_CLK_TCK")
        seconds = max(sum(spent) / (tick * max(os.cpu_count() or 1, 1)), 1e-3)
        busy = (sum(spent) - spent[_IDLE] - spent[_IOWAIT] - spent[_STEAL]) / tick
        return max(busy - (_ours() - self._ours_before), 0.0) / seconds

    def say(self, wobbles: Sequence[float] = ()) -> str:
        """One line. wobbles: of what was measured. Children count as ours once they have ended and been waited for."""
        spent = self._spent()
        said = f"other programs took {self.others():.2f} of {os.cpu_count()} CPUs"
        said += f", the host {spent[_STEAL] / max(sum(spent), 1):.1%}"
        if wobbles:
            said += f"; a slice cost {statistics.median(wobbles):.0%} more than the best one"
        return said


def wobble(costs: Sequence[float]) -> float:
    """By how much the middle one of slices that do the same work is dearer than the best: nothing on a quiet machine."""
    return statistics.median(costs) / min(costs) - 1


def _ticks() -> list[int]:
    """Clock ticks of all CPUs together since the machine started, by kind (the first line of /proc/stat)."""
    words = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    return [int(each) for each in words[1:9]]


def _ours() -> float:
    """CPU seconds of this process and of its children that have ended."""
    return sum(os.times()[:4])
