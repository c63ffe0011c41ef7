# SPDX-License-Identifier: BSD-3-Clause
"""Reflect does what MacSwap does, with vectors and without."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataplane.apps.macswap import MacSwap
from dataplane.apps.reflect import Reflect
from dataplane.apps.trial import Trial


@pytest.mark.parametrize("simd", [True, False])
@pytest.mark.parametrize("burst", [1, 7, 32, 256])
@pytest.mark.parametrize("segment", [2048, 14, 12])
def test_addresses_change_places(simd, burst, segment):
    frames = [bytes((number + at) % 256 for at in range(60)) for number in range(300)]
    with Trial(Reflect(simd=simd), segment=segment, n=2048) as trial:
        trial.push(frames, burst=burst)
        assert trial.out["out"] == [frame[6:12] + frame[:6] + frame[12:] for frame in frames]


@pytest.mark.parametrize("simd", [True, False])
@given(frames=st.lists(st.binary(min_size=12, max_size=80), min_size=1, max_size=64))
@settings(max_examples=20, deadline=None)
def test_the_same_as_in_numpy(simd, frames):
    with Trial(MacSwap()) as numpy, Trial(Reflect(simd=simd)) as compiled:
        numpy.push(frames)
        compiled.push(frames)
        assert compiled.out == numpy.out


@pytest.mark.parametrize("simd", [True, False])
def test_a_frame_too_short_for_both_stays_as_it_is(simd):
    frames = [bytes(range(n)) for n in range(1, 17)]
    with Trial(Reflect(simd=simd)) as trial:
        trial.push(frames)
        assert trial.out["out"] == frames[:11] + [f[6:12] + f[:6] + f[12:] for f in frames[11:]]
