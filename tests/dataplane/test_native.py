# SPDX-License-Identifier: BSD-3-Clause
"""Apps that are one C function: through ctypes, and compiled by numba where it is installed."""

from __future__ import annotations

import ctypes
import importlib.util

import pytest

from dataplane import Native, through
from dataplane.errors import AppError, ConfigError
from dataplane.graph.graph import takes_gil

U8 = ctypes.POINTER(ctypes.c_uint8)
PerPacket = ctypes.CFUNCTYPE(ctypes.c_uint32, U8, ctypes.c_uint32)
PerBurst = ctypes.CFUNCTYPE(None, ctypes.POINTER(U8), ctypes.POINTER(ctypes.c_uint32), U8, ctypes.c_uint32)
FRAMES = [bytes([number]) + bytes(59 + number) for number in range(6)]


@PerPacket
def by_number(data, length):
    assert length == 60 + data[0]
    data[1] = 0xEE
    return data[0]


@PerBurst
def by_number_in_bursts(data, length, edge, n):
    for i in range(n):
        if length[i] > 60:  # the first keeps the zero that is there
            edge[i] = data[i][0]
        data[i][1] = 0xEE


@pytest.mark.parametrize(
    ("function", "per"),
    [
        (by_number, "packet"),
        (by_number_in_bursts, "burst"),
        (ctypes.cast(by_number, ctypes.c_void_p).value, "packet"),
    ],
    ids=["function", "burst function", "address"],
)
def test_each_packet_goes_where_the_function_says(function, per):
    app = Native(function, edges=("a", "b", "c"), per=per)
    left = through(app, FRAMES)
    expected = [frame[:1] + b"\xee" + frame[2:] for frame in FRAMES]
    assert left == {"a": expected[:1], "b": expected[1:2], "c": expected[2:3]}
    assert app.drop_counts == {"refused": 3}
    assert not takes_gil(app)


def test_bursts_that_go_one_way_stay_together():
    app = Native(PerPacket(lambda data, length: 1), edges=("a", "b"), optional=("a",), name="second")
    assert through(app, FRAMES)["b"] == FRAMES
    assert app.edge_counts["b"] == (6, sum(map(len, FRAMES)), 1)
    assert repr(app) == "second"


def test_all_refused():
    app = Native(PerPacket(lambda data, length: 0xFFFFFFFF))
    assert through(app, FRAMES) == {"out": []}
    assert app.drop_counts == {"refused": 6}


@pytest.mark.parametrize(
    ("function", "options", "words"),
    [
        ("f", {}, "'f' is no function"),
        (0, {}, "its address is 0"),
        (PerPacket(), {}, "its address is 0"),
        (by_number, {"per": "hour"}, "must be 'packet' or 'burst'"),
        (by_number, {"edges": ()}, "0 edges: must be 1 to 16"),
    ],
)
def test_mistakes(function, options, words):
    with pytest.raises(ConfigError, match=words):
        Native(function, **options)


def per_packet(data, length):
    data[1] = 0xEE
    return data[0] if length >= 60 else 9


def per_burst(data, length, edge, n):
    for i in range(n):
        data[i][1] = 0xEE
        edge[i] = data[i][0] if length[i] >= 60 else 9


@pytest.mark.parametrize(("function", "per"), [(per_packet, "packet"), (per_burst, "burst")])
def test_a_python_function_needs_numba(function, per):
    if importlib.util.find_spec("numba") is None:
        with pytest.raises(ConfigError, match="numba is not installed: pip install"):
            Native(function, per=per)
        return
    app = Native(function, edges=("a", "b", "c"), per=per)
    expected = [frame[:1] + b"\xee" + frame[2:] for frame in FRAMES]
    assert through(app, FRAMES) == {"a": expected[:1], "b": expected[1:2], "c": expected[2:3]}
    assert app.drop_counts == {"refused": 3} and app.name == function.__name__


@pytest.mark.skipif(importlib.util.find_spec("numba") is None, reason="numba is not installed")
def test_a_compiled_function_that_raises_ends_the_run():
    def divide(data, length):
        return 10 // data[0]

    app = Native(divide, edges=tuple("abcdefghijk"), optional=tuple("abcdefghijk"))
    assert through(app, [FRAMES[5], FRAMES[5]])["c"] == [FRAMES[5], FRAMES[5]]
    with pytest.raises(AppError, match="divide: the function raised an exception"):
        through(app, FRAMES)
    assert app.drop_counts == {"error": len(FRAMES)}
