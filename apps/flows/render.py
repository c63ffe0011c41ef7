# SPDX-License-Identifier: BSD-3-Clause
"""Executes a stamp program for many frames at once, in numpy: set-up, tests and small flows use it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.flows.program import AXIS_CLOCK, AXIS_SEQUENCE, TRAILER_MAGIC, Program

_MASK = np.uint64(0xFFFF)


def render(
    program: Program, numbers: NDArray[np.uint64], slot: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """The frames with these `numbers` (0 is the first; past the last the cycle starts again).

    Returns an array of shape (len(numbers), slot), zeros after each frame's end, and each frame's length in
    bytes.
    """
    frames = np.zeros((len(numbers), slot), np.uint8)
    lengths = np.zeros(len(numbers), np.uint16)
    ends = np.cumsum(program.parts["count"], dtype=np.uint64)
    inside = numbers % ends[-1]
    which = np.searchsorted(ends, inside, side="right")
    for index in np.unique(which):
        rows = np.flatnonzero(which == index)
        before = ends[index - 1] if index else np.uint64(0)
        _part(program, program.parts[index], inside[rows] - before, numbers[rows], rows, frames, lengths)
    return frames, lengths


def _part(
    program: Program, part: Any, numbers: Any, sequence: Any, rows: Any, frames: Any, lengths: Any
) -> None:
    axes = program.axes[part["first_axis"] : part["first_axis"] + part["axes"]]
    digits: list[Any] = [None] * len(axes)
    rest = numbers.copy()
    chosen = np.zeros(len(numbers), np.int64)
    for index in range(len(axes) - 1, -1, -1):
        axis = axes[index]
        if axis["free"]:
            digits[index] = numbers % axis["count"]
            continue
        rest, digits[index] = np.divmod(rest, axis["count"])
        chosen += digits[index].astype(np.int64) * int(axis["template_step"])
    for number in np.unique(chosen):
        template = program.templates[part["first_template"] + number]
        if part["templates"] == 1:
            picked, where = digits, rows
        else:
            mask = chosen == number
            picked, where = [digit[mask] for digit in digits], rows[mask]
        length = int(template["length"])
        lengths[where] = length
        first = int(template["first_byte"])
        block = np.empty((len(where), length), np.uint8)
        block[:] = program.bytes[first : first + length]
        _stamp(program, template, picked, sequence if part["templates"] == 1 else sequence[mask], block)
        frames[where, :length] = block


def _stamp(
    program: Program, template: Any, digits: list[Any], numbers: Any, block: NDArray[np.uint8]
) -> None:
    stamps = program.stamps[template["first_stamp"] : template["first_stamp"] + template["stamps"]]
    folded = []
    for stamp in stamps:
        if stamp["axis"] == AXIS_SEQUENCE:
            value = np.uint64(TRAILER_MAGIC << 32) | (numbers & np.uint64(0xFFFFFFFF))
        elif stamp["axis"] == AXIS_CLOCK:
            value = numbers * np.uint64(0)
        elif stamp["table"] >= 0:
            value = program.tables[digits[stamp["axis"]].astype(np.int64) + stamp["table"]]
        else:
            value = stamp["base"] + stamp["step"] * digits[stamp["axis"]]
        folded.append(_words(value))
        placed = value << np.uint64(stamp["shift"])
        last = int(stamp["offset"]) + int(stamp["width"]) - 1
        for back in range(int(stamp["width"])):
            byte = (placed >> np.uint64(8 * back)).astype(np.uint8)
            if stamp["merge"]:
                block[:, last - back] |= byte
            else:
                block[:, last - back] = byte
    for entry in program.sums[template["first_sum"] : template["first_sum"] + template["sums"]]:
        first = int(entry["first_coefficient"])
        total = np.full(len(block), entry["constant"], np.uint64)
        for words, coefficient in zip(folded, program.coefficients[first : first + len(stamps)], strict=True):
            if coefficient:
                total += words * np.uint64(coefficient)
        result = ~_fold(total) & _MASK
        if entry["zero_is_ffff"]:
            result[result == 0] = _MASK
        block[:, entry["offset"]] = result >> np.uint64(8)
        block[:, entry["offset"] + 1] = result & np.uint64(0xFF)


def _words(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The plain sum of the four 16-bit words of each value: 0 only for 0."""
    total = value & _MASK
    for shift in (16, 32, 48):
        total = total + ((value >> np.uint64(shift)) & _MASK)
    return total


def _fold(total: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """End-around carry down to 16 bits: 0 only for 0."""
    total = _words(total)
    for _ in range(2):
        total = (total & _MASK) + (total >> np.uint64(16))
    return total
