# SPDX-License-Identifier: BSD-3-Clause
"""MacSwap, and what a reader of it may rely on: 20 lines, every frame changed, none lost."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataplane.apps import macswap
from dataplane.apps.macswap import MacSwap
from dataplane.apps.trial import Trial


@pytest.mark.parametrize("burst", [1, 7, 32, 256])
@pytest.mark.parametrize("segment", [2048, 20])
def test_addresses_change_places(burst, segment):
    frames = [bytes((number + at) % 256 for at in range(60)) for number in range(300)]
    with Trial(MacSwap(), segment=segment) as trial:
        trial.push(frames, burst=burst)
        assert trial.out["out"] == [frame[6:12] + frame[:6] + frame[12:] for frame in frames]


@given(st.lists(st.binary(min_size=14, max_size=80), min_size=1, max_size=64))
@settings(max_examples=20, deadline=None)
def test_twice_is_nothing(frames):
    with Trial(MacSwap()) as first:
        first.push(frames)
    with Trial(MacSwap()) as second:
        second.push(first.out["out"])
    assert second.out["out"] == frames


def test_it_stays_short_enough_to_copy():
    assert len(Path(macswap.__file__).read_text().splitlines()) <= 20
