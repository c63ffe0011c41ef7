# SPDX-License-Identifier: BSD-3-Clause
"""What pairs of figures decide: ratios, how well they are known, verdicts."""

from __future__ import annotations

import random

import pytest

from bench.judge import Ratio, against, interval, ratio_of


@pytest.mark.parametrize(
    ("n", "low", "high"), [(1, 1, 1), (2, 1, 2), (5, 1, 5), (6, 1, 6), (9, 2, 8), (15, 4, 12), (27, 8, 20)]
)
def test_the_interval_of_the_median_by_order_statistics(n, low, high):
    """The classic table for 95 %; below 6 values the extremes."""
    assert interval(random.Random(n).sample(range(1, n + 1), n)) == (low, high)


def test_the_interval_holds_the_median_as_often_as_it_says():
    chance, hits = random.Random(82599), 0
    for _ in range(2000):
        low, high = interval([chance.expovariate(1.0) for _ in range(9)])
        hits += low <= 0.6931 <= high
    assert hits >= 0.94 * 2000


def test_a_ratio_is_the_median_of_the_pairs_ratios():
    """Not the ratio of medians: pairs belong together, a machine that gets slower meanwhile slows both."""
    pairs = [(n * 1.1, float(n)) for n in (1, 2, 4, 8, 16, 32, 64, 128, 256)]
    ratio = ratio_of(pairs)
    assert (ratio.value, ratio.spread, ratio.pairs) == (pytest.approx(1.1), pytest.approx(0, abs=1e-9), 9)


def test_one_pair_that_went_wrong_changes_nothing():
    assert ratio_of([(1.0, 1.0)] * 8 + [(50.0, 1.0)]) == Ratio(1.0, 0.0, 9)


@pytest.mark.parametrize("pairs", [[], [(1.0, 0.0)], [(float("nan"), 1.0)], [(1.0, float("inf"))]])
def test_no_ratio_of_what_is_no_figure(pairs):
    with pytest.raises(ValueError, match="positive"):
        ratio_of(pairs)


@pytest.mark.parametrize(
    ("value", "spread", "verdict"),
    [
        (1.00, 0.00, "same"),
        (1.019, 0.02, "same"),
        (1.021, 0.02, "slower"),
        (1.021, 0.021, "not judged"),
        (1.05, 0.04, "slower"),
        (1.05, 0.06, "not judged"),
        (0.97, 0.01, "faster"),
        (0.97, 0.04, "not judged"),
    ],
)
def test_slower_is_what_is_beyond_two_percent_and_its_spread(value, spread, verdict):
    assert against(Ratio(value, spread, 9)) == verdict
