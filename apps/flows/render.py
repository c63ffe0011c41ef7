# SPDX-License-Identifier: BSD-3-Clause
"""Executes a stamp program for many frames at once, in numpy: set-up, tests and small flows use it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataplane.apps.flows.program import AXIS_CLOCK, AXIS_SEQUENCE, TRAILER_MAGIC, Program

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
        part = program.parts[index]
        digits = _digits(program, part, inside[rows] - (ends[index - 1] if index else np.uint64(0)))
        frames[rows], lengths[rows] = render_digits(program, part, digits, numbers[rows], slot)
    return frames, lengths


def render_digits(
    program: Program, part: Any, digits: list[NDArray[np.uint64]], sequence: NDArray[np.uint64], slot: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """The frames of a part whose axes show `digits` (an array for each axis), with these sequence numbers."""
    frames = np.zeros((len(sequence), slot), np.uint8)
    lengths = np.zeros(len(sequence), np.uint16)
    axes = program.axes[part["first_axis"] : part["first_axis"] + part["axes"]]
    chosen = np.zeros(len(sequence), np.int64)
    for axis, digit in zip(axes, digits, strict=True):
        chosen += digit.astype(np.int64) * int(axis["template_step"])
    for number in np.unique(chosen):
        template = program.templates[part["first_template"] + number]
        rows = np.flatnonzero(chosen == number)
        length, first = int(template["length"]), int(template["first_byte"])
        block = np.empty((len(rows), length), np.uint8)
        block[:] = program.bytes[first : first + length]
        _stamp(program, template, [digit[rows] for digit in digits], sequence[rows], block)
        frames[rows, :length] = block
        lengths[rows] = length
    return frames, lengths


def _digits(program: Program, part: Any, numbers: NDArray[np.uint64]) -> list[NDArray[np.uint64]]:
    """What each axis of a part shows at these frames: the last one turns fastest."""
    digits = []
    rest = numbers
    for axis in program.axes[part["first_axis"] : part["first_axis"] + part["axes"]][::-1]:
        if axis["free"]:
            digits.append(numbers % axis["count"])
        else:
            rest, digit = np.divmod(rest, axis["count"])
            digits.append(digit)
    return digits[::-1]


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
