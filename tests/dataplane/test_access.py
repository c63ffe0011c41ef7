# SPDX-License-Identifier: BSD-3-Clause
"""`load` and `store` by field: in plain Python, and as numba compiles them, hold to what a burst's columns say."""

from __future__ import annotations

import importlib.util

import pytest

from dataplane import App, Field, Native, eth, ip4, ip6, tcp, through, udp, vlan
from dataplane.access import exchange, load, store
from dataplane.columns import headers

numba = pytest.mark.skipif(importlib.util.find_spec("numba") is None, reason="numba is not installed")
FRAME = bytes(7 * n % 256 for n in range(64))
FIELDS = [
    field
    for header in vars(headers).values()
    if isinstance(header, headers.Header)
    for field in vars(header).values()
    if isinstance(field, Field) and field.width <= 8
] + [Field(f"width {width}", 3, width) for width in range(1, 9)]


class Columns(App):
    """Read a field of one frame as a column of a burst, then set it."""

    def __init__(self, field, value):
        self.field, self.value = field, value

    def process(self, burst):
        self.seen = int(burst[self.field][0])
        burst[self.field] = self.value


def by_columns(field, value):
    app = Columns(field, value)
    return through(app, [FRAME])["out"][0], app.seen


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_plain(field):
    value = 0x9A3C_F1E7_5B2D_8846 & field.mask
    frame = bytearray(FRAME)
    seen = load(frame, field)
    store(frame, field, value | field.mask + 1)  # a bit too many is cut off
    assert (bytes(frame), seen) == by_columns(field, value)
    assert load(memoryview(frame), field) == value


@numba
@pytest.mark.parametrize("field", [*FIELDS[::9], vlan.pcp, vlan.vid, eth.src, ip4.fragment, *FIELDS[-8:]])
def test_compiled(field):
    value = 0x9A3C_F1E7_5B2D_8846 & field.mask
    loaded = Field("loaded", 56, 8)

    def both(data, length):
        before = load(data, field)
        store(data, field, value)
        store(data, loaded, before)
        return 0

    frame, seen = by_columns(field, value)
    if field.offset + field.width <= 56:
        assert through(Native(both), [FRAME])["out"] == [frame[:56] + seen.to_bytes(8, "big")]


@numba
def test_headers_are_constants_of_a_function():
    def turn(data, length):
        if length < 34 or load(data, eth.type) != 0x0800:
            return 1
        source, target = load(data, eth.src), load(data, eth.dst)
        store(data, eth.dst, source)
        store(data, eth.src, target)
        store(data, ip4.ttl, load(data, ip4.ttl) - 1)
        return 0

    ip = bytearray(FRAME)
    ip[12:14] = b"\x08\x00"
    app = Native(turn, edges=("out", "other"), optional=("other",))
    assert through(app, [bytes(ip), FRAME, bytes(ip[:33])]) == {
        "out": [bytes(ip[6:12] + ip[:6] + ip[12:22]) + bytes([ip[22] - 1]) + bytes(ip[23:])],
        "other": [FRAME, bytes(ip[:33])],
    }


@numba
@pytest.mark.parametrize("field", [eth.dst, eth.src])
def test_constants_of_six_bytes(field):
    def write(data, length):
        store(data, field, 0x0200_0000_00A1)
        return 0

    assert through(Native(write), [FRAME] * 40)["out"] == [by_columns(field, 0x0200_0000_00A1)[0]] * 40


PAIRS = [
    (eth.src, eth.dst), (ip4.src, ip4.dst), (udp.sport, udp.dport), (ip4.ttl, ip4.proto),  # neighbours
    (Field("three", 3, 3), Field("three more", 6, 3)), (Field("seven", 40, 7), Field("seven more", 47, 7)),
    (tcp.seq, ip4.dst), (ip4.dscp, Field("six bits", 50, 2, shift=3, bits=6)), (eth.type, eth.type),
]  # fmt: skip


def exchanged(one, other):
    frame = bytearray(FRAME)
    a, b = load(frame, one), load(frame, other)
    store(frame, one, b), store(frame, other, a)
    return bytes(frame)


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_exchange(one, other):
    frame = bytearray(FRAME)
    exchange(frame, one, other)
    assert bytes(frame) == exchanged(one, other)
    with pytest.raises(ValueError, match="differ in width"):
        exchange(frame, eth.src, ip4.src)


@numba
@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_exchange_compiled(one, other):
    def both(data, length):
        exchange(data, one, other)
        return 0

    assert through(Native(both), [FRAME])["out"] == [exchanged(one, other)]


@numba
@pytest.mark.parametrize("use", ["load", "store"])
def test_a_row_of_bytes_is_no_number(use):
    from numba.core.errors import TypingError

    field = ip6.src
    function = (
        (lambda data, length: load(data, field))
        if use == "load"
        else (lambda data, length: store(data, field, 1))
    )
    with pytest.raises(TypingError, match=r"ip6\.src"):
        Native(function)


@numba
@pytest.mark.parametrize("numbers", [[0] * 5, [1, 1, 1], [0, 0, 1], [2, 0], [7, 7], [0, 300, 1]])
def test_edges_of_a_compiled_loop(numbers):
    def number(data, length):
        return data[0] << 8 | data[1]

    frames = [n.to_bytes(2, "big") + bytes([at]) + bytes(57) for at, n in enumerate(numbers)]
    app = Native(number, edges=("a", "b", "c"), optional=("a", "b", "c"))
    left = through(app, frames)
    for edge, name in enumerate("abc"):
        assert left[name] == [frame for frame, n in zip(frames, numbers, strict=True) if n == edge]
    assert app.drop_counts.get("refused", 0) == sum(n > 2 for n in numbers)
