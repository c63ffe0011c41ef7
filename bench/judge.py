# SPDX-License-Identifier: BSD-3-Clause
"""What pairs of figures that were measured by turns say: the ratio, how well it is known, and what may be decided by it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Ratio:
    """The median of the ratios of pairs. spread: how far the true median may be from it, as a part of it."""

    value: float
    spread: float
    pairs: int


def ratio_of(pairs: Sequence[tuple[float, float]]) -> Ratio:
    """The first figure over the second, pair by pair. Raises ValueError without pairs, or if a figure is not positive."""
    if not pairs or not all(math.isfinite(each) and each > 0 for pair in pairs for each in pair):
        raise ValueError(f"{list(pairs)}: expected pairs of positive figures")
    ratios = sorted(one / other for one, other in pairs)
    middle = statistics.median(ratios)
    low, high = interval(ratios)
    return Ratio(middle, max(high - middle, middle - low) / middle, len(ratios))


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The bounds between which the median of all such values lies with 95 % confidence, whatever their distribution.

    By order statistics: of 9 values the second and the eighth. With fewer than 6 no two of them are that far apart: the
    extremes are returned.
    """
    n, ordered = len(values), sorted(values)
    skip, tail = 0, 0.0
    while True:  # the chance that at most `skip` of n values are on one side of the median
        tail += math.comb(n, skip) / 2**n
        if 2 * tail > 1 - CONFIDENCE or skip >= (n - 1) // 2:
            break
        skip += 1
    skip = max(skip - 1, 0)
    return ordered[skip], ordered[n - 1 - skip]


def figure(values: Sequence[float], *, more: bool = False) -> float:
    """The better quartile of slices that do the same work. more: the larger a figure, the better.

    Other work of the machine makes some slices dearer and none cheaper; the very best one moves more from time to time.
    """
    return sorted(values, reverse=more)[len(values) // 4]


def judged(ratio: Ratio, goal: float, *, more: bool = False) -> str:
    """Whether a ratio reaches its goal: "met", "missed", or "not judged" when it is known less well than that takes.

    goal: the most that it may be; more: the least.
    """
    to_spare = ratio.value - goal if more else goal - ratio.value
    if abs(to_spare) < ratio.value * ratio.spread:
        return "not judged"
    return "met" if to_spare >= 0 else "missed"


def pooled(ratios: Sequence[Ratio]) -> Ratio:
    """One ratio of those that several processes found: where memory happens to lie in each is part of the spread."""
    values = [each.value for each in ratios]
    middle, (low, high) = statistics.median(values), interval(values)
    spread = max(
        statistics.median(each.spread for each in ratios), (high - middle) / middle, (middle - low) / middle
    )
    return Ratio(middle, spread, sum(each.pairs for each in ratios))


def against(ratio: Ratio, least: float = 0.02) -> str:
    """What a cost over another revision's says: "slower", "faster", "same", or "not judged".

    least: differences up to this are none. A ratio that is known less well than that decides only what is beyond its spread.
    """
    if abs(ratio.value - 1) > max(least, ratio.spread):
        return "slower" if ratio.value > 1 else "faster"
    return "same" if ratio.spread <= least else "not judged"
