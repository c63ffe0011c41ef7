# SPDX-License-Identifier: BSD-3-Clause
"""The stamp program: flat arrays that say, for frame number i, which template to copy and what to write into
it.

This is what a loop without Python executes, so it holds nothing but numbers. Per frame: find each axis' digit
(an odometer, last axis fastest; a free axis is the frame's number modulo its count), add up the template
number, copy the template, then apply its stamps and sums.

* A stamp writes ``value = table[digit]`` or ``base + step * digit`` (modulo 2**64), big endian, `width`
  bytes at `offset`. With `merge` set it is shifted left by `shift` and OR-ed in, because it shares its bytes
  with other bits (the template has zeros there); without, it is stored.
* A sum is an Internet checksum. With ``f(x)`` the end-around-carry sum of the 16-bit words of x, it is
  ``~f(constant + sum of f(value of stamp s) * coefficient[s])``: no byte of the frame is read. Where
  `zero_is_ffff` is set (UDP) a result of 0 is written as 0xFFFF.

The C side sees the same records, in apps/pktgen.pyx, and refuses to be imported when a size differs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TRAILER = 16  # bytes at the end of a frame whose way is measured: magic (4), sequence number (4), clock (8)
TRAILER_MAGIC = 0x64706C61
AXIS_SEQUENCE = (
    0xFFFFFFFE  # the axis of a stamp whose value is the magic and the frame's number, modulo 2**32
)
AXIS_CLOCK = 0xFFFFFFFF  # the axis of a stamp whose value is the time the frame is sent; 0 in numpy

AXIS = np.dtype([("count", "u8"), ("template_step", "u4"), ("free", "u4")], align=True)
STAMP = np.dtype(
    [
        ("base", "u8"),
        ("step", "u8"),
        ("table", "i8"),  # index of its first value in `tables`, or -1: base + step * digit
        ("axis", "u4"),
        ("offset", "u2"),
        ("width", "u1"),
        ("shift", "u1"),
        ("merge", "u4"),
        ("reserved", "u4"),
    ],
    align=True,
)
SUM = np.dtype(
    [("constant", "u4"), ("offset", "u2"), ("zero_is_ffff", "u2"), ("first_coefficient", "u8")], align=True
)
TEMPLATE = np.dtype(
    [
        ("first_byte", "u8"),
        ("length", "u4"),
        ("first_stamp", "u4"),
        ("stamps", "u4"),
        ("first_sum", "u4"),
        ("sums", "u4"),
        ("reserved", "u4"),
    ],
    align=True,
)
PART = np.dtype(
    [
        ("count", "u8"),  # frames in this part, before the next one starts
        ("first_axis", "u4"),
        ("axes", "u4"),
        ("first_template", "u4"),
        ("templates", "u4"),
    ],
    align=True,
)


@dataclass(frozen=True)
class Program:
    """All parts of a `Flows`, one after the other. Arrays are contiguous and never written after set-up."""

    parts: NDArray[np.void]
    axes: NDArray[np.void]
    templates: NDArray[np.void]
    stamps: NDArray[np.void]
    sums: NDArray[np.void]
    coefficients: NDArray[np.uint16]  # for each sum one per stamp of its template
    tables: NDArray[np.uint64]
    bytes: NDArray[np.uint8]

    @property
    def count(self) -> int:
        """Frames in one cycle."""
        return sum(int(count) for count in self.parts["count"])

    @property
    def longest(self) -> int:
        """Bytes of the longest frame, without FCS."""
        return int(self.templates["length"].max())

    @property
    def shortest(self) -> int:
        """Bytes of the shortest frame, without FCS."""
        return int(self.templates["length"].min())


class Builder:
    """Collects records and freezes them into a Program."""

    def __init__(self) -> None:
        self.parts: list[tuple[int, ...]] = []
        self.axes: list[tuple[int, ...]] = []
        self.templates: list[tuple[int, ...]] = []
        self.stamps: list[tuple[int, ...]] = []
        self.sums: list[tuple[int, ...]] = []
        self.coefficients: list[int] = []
        self._tables: list[NDArray[np.uint64]] = []
        self._table_length = 0
        self._frames: list[bytes] = []
        self._frame_length = 0

    def add_table(self, values: NDArray[np.uint64]) -> int:
        """Stores `values` and returns where they start."""
        start = self._table_length
        self._tables.append(values)
        self._table_length += len(values)
        return start

    def add_part(self, count: int, axes: list[tuple[int, int, bool]], templates: int) -> None:
        """A part of `count` frames over `axes` (count, template step, free); its templates follow by
        add_template.
        """
        self.parts.append((count, len(self.axes), len(axes), len(self.templates), templates))
        self.axes.extend((size, step, int(free)) for size, step, free in axes)

    def add_template(self, frame: bytes, stamps: list[Stamp], sums: list[Sum]) -> None:
        """Add a frame, with what is stamped into it and the checksums to compute."""
        self.templates.append(
            (self._frame_length, len(frame), len(self.stamps), len(stamps), len(self.sums), len(sums), 0)
        )
        self._frames.append(frame)
        self._frame_length += len(frame)
        for stamp in stamps:
            self.stamps.append(
                (
                    stamp.base,
                    stamp.step,
                    stamp.table,
                    stamp.axis,
                    stamp.offset,
                    stamp.width,
                    stamp.shift,
                    stamp.merge,
                    0,
                )
            )
        for entry in sums:
            self.sums.append((entry.constant, entry.offset, int(entry.zero_is_ffff), len(self.coefficients)))
            self.coefficients.extend(entry.coefficients)

    def build(self) -> Program:
        """The finished program."""
        return Program(
            parts=np.array(self.parts, PART),
            axes=np.array(self.axes, AXIS),
            templates=np.array(self.templates, TEMPLATE),
            stamps=np.array(self.stamps, STAMP),
            sums=np.array(self.sums, SUM),
            coefficients=np.array(self.coefficients, np.uint16),
            tables=np.concatenate(self._tables) if self._tables else np.empty(0, np.uint64),
            bytes=np.frombuffer(b"".join(self._frames), np.uint8).copy(),
        )


@dataclass(frozen=True)
class Stamp:
    """One write into a frame; see the module's text. `base` and `step` are modulo 2**64."""

    axis: int
    offset: int
    width: int
    shift: int
    merge: bool
    base: int
    step: int
    table: int


@dataclass(frozen=True)
class Sum:
    """One checksum of a frame, with a coefficient for every stamp of the template."""

    offset: int
    constant: int
    zero_is_ffff: bool
    coefficients: tuple[int, ...]
