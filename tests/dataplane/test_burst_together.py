# SPDX-License-Identifier: BSD-3-Clause
"""Several fields at once: what it gives is what one after another gives, by vector code and without."""

from __future__ import annotations

import numpy as np
import pytest
from bursts import do, fields, frames_of_any_length
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataplane import Field
from dataplane.columns.field import use_simd
from dataplane.columns.headers import eth, ip4, ip6
from dataplane.errors import BurstError


@pytest.fixture(params=[True, False], ids=["vector", "plain"])
def simd(request):
    use_simd(request.param)
    yield
    use_simd(True)


def columns(burst, several):
    return [column.tolist() for column in burst[several]], [burst[field].tolist() for field in several]


@settings(max_examples=60, deadline=None)
@given(frames_of_any_length, st.lists(fields(), max_size=8))
def test_columns_equal_those_of_one_after_another(frames, several):
    (together, single), after = do(frames, lambda burst: columns(burst, tuple(several)))
    assert together == single
    assert after == frames


@settings(max_examples=60, deadline=None)
@given(frames_of_any_length, st.lists(fields(), max_size=8), st.randoms(use_true_random=False))
def test_what_is_set_equals_one_after_another(frames, several, random):
    values = [[random.getrandbits(64) for _ in frames] for _ in several]
    arrays = [np.array(each, dtype=np.uint64) for each in values]

    def together(burst):
        burst[tuple(several)] = arrays

    def single(burst):
        for field, array in zip(several, arrays, strict=True):
            burst[field] = array

    assert do(frames, together)[1] == do(frames, single)[1]


SHORT = st.lists(st.binary(min_size=5, max_size=24), min_size=1, max_size=40)
LONG = st.lists(st.binary(min_size=30, max_size=40), min_size=1, max_size=40)


@pytest.mark.parametrize("offset", [0, 4])
@pytest.mark.parametrize("turned", [False, True])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(frames=st.one_of(SHORT, LONG))
def test_addresses(simd, offset, turned, frames):
    """Neighbours of six bytes have loops of their own: long frames take them, a short one among them does not."""
    pair = (eth.dst.at(offset), eth.src.at(offset))[:: -1 if turned else 1]

    def both(burst):
        seen = columns(burst, pair)
        burst[pair] = burst[pair[::-1]]
        return seen

    (together, single), after = do(frames, both)
    assert together == single

    def one_by_one(burst):
        first, second = burst[pair[0]], burst[pair[1]]
        burst[pair[0]], burst[pair[1]] = second, first

    assert after == do(frames, one_by_one)[1]


def test_a_whole_burst_of_addresses(simd):
    frames = [bytes(range(n % 200, n % 200 + 40)) for n in range(256)]
    _, after = do(frames, lambda burst: burst.__setitem__((eth.src, eth.dst), burst[eth.dst, eth.src]))
    assert after == [frame[6:12] + frame[:6] + frame[12:] for frame in frames]


def test_numbers_arrays_and_rows_of_bytes():
    def function(burst):
        burst[ip4.ttl, ip4.tos] = 7, np.array([1, 2], dtype=np.uint8)
        ttl, address = burst[ip4.ttl, ip6.dst]
        return ttl.tolist(), address.shape

    (ttl, shape), after = do([bytes(60), bytes(60)], function)
    assert ttl == [7, 7] and shape == (2, 16)
    assert [(frame[22], frame[15]) for frame in after] == [(7, 1), (7, 2)]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda b: b.__setitem__((eth.src, eth.dst), (1,)), "1 columns for 2 fields"),
        (lambda b: b.__setitem__((eth.src, eth.dst), (1, 1 << 48)), "must be 0 to 281474976710655"),
        (lambda b: b.__setitem__((eth.src, ip6.src), (1, b"")), "ip6.src is a row of bytes"),
        (lambda b: b[(eth.src,) * 9], "9 fields at once: must be at most 8"),
        (lambda b: b[eth.src, 5], "several at once are fields"),
        (lambda b: b.__setitem__((eth.src, Field), (1, 1)), "several at once are fields"),
    ],
)
def test_mistakes_are_named(wrong, message):
    with pytest.raises(BurstError, match=message):
        do([bytes(60)], wrong)
