# SPDX-License-Identifier: BSD-3-Clause
"""Compiles a scapy packet into a part of a stamp program, and holds the result against scapy's own frames.

A field whose values all lie on the same bits of the frame becomes a stamp. A field that changes the frame's
layout (a payload of several lengths, an ICMP type with other fields behind it, a length scapy computes for
one value only) gets one template per value. Which one it is, is not taken from a list of protocols: a field
counts as a stamp until a frame comes out different from scapy's.
"""

from __future__ import annotations

import itertools
import math
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataplane.apps.flows import layout
from dataplane.apps.flows.axes import FREE_DRAWS, Axis, find_axes, layers_of
from dataplane.apps.flows.program import (
    AXIS_CLOCK,
    AXIS_SEQUENCE,
    TRAILER,
    TRAILER_MAGIC,
    Builder,
    Program,
    Stamp,
    Sum,
)
from dataplane.apps.flows.render import render_digits
from dataplane.errors import ConfigError
from dataplane.limits import FCS_BYTES, FRAME_MAX_WITH_FCS_BYTES

MOST_TEMPLATES = 1024
LARGEST_TABLE = 1 << 22
MOST_FRAMES = 1 << 62  # of one packet: after that (a thousand years) it starts again
_WORD = (1 << 64) - 1

# Fields that never change what stands elsewhere in the frame, checksums apart: few samples are enough.
_PLAIN = {
    ("Ether", "src"), ("Ether", "dst"), ("Dot1Q", "vlan"), ("Dot1Q", "prio"),
    ("IP", "src"), ("IP", "dst"), ("IP", "id"), ("IP", "ttl"), ("IP", "tos"),
    ("IPv6", "src"), ("IPv6", "dst"), ("IPv6", "fl"), ("IPv6", "hlim"),
    ("UDP", "sport"), ("UDP", "dport"), ("TCP", "sport"), ("TCP", "dport"), ("TCP", "seq"), ("TCP", "ack"),
}  # fmt: skip


class _Misfit(Exception):
    """A field that cannot be a stamp in this packet."""

    def __init__(self, axis: Axis) -> None:
        super().__init__(axis.name)
        self.axis = axis


class PacketCompiler:
    """Compiles one packet; `compile` may be called once."""

    def __init__(self, packet: Any, size: int | None, shortest: int, seed: int, trailer: bool) -> None:
        self.packet = layout.complete(packet)
        self.name = "/".join(type(layer).__name__ for layer in layers_of(self.packet))
        self.size = size
        self.shortest = shortest
        self.trailer = trailer
        self.single: layout.Choice = {}
        self.axes: list[Axis] = []
        for axis in find_axes(self.packet, seed):
            if axis.count == 1:
                self.single[axis.layer, axis.field] = axis.values[0]
            else:
                self.axes.append(axis)
        self.shaping: list[Axis] = []  # axes whose every value has a template of its own
        self._paddings: dict[tuple[int, ...], int] = {}

    @property
    def count(self) -> int:
        """Frames before this packet starts again; random fields make it longer, to show more values."""
        product = math.prod(axis.count for axis in self.axes if not axis.free)
        if any(axis.free for axis in self.axes):
            product *= -(-FREE_DRAWS // product)
        return min(product, MOST_FRAMES)

    def compile(self, builder: Builder) -> None:
        """Adds this packet to `builder`. Raises ConfigError for a set that cannot be generated."""
        while True:
            try:
                trial = Builder()
                self._add(trial)
                self._check(trial.build())
                break
            except _Misfit as misfit:
                self._make_shaping(misfit.axis)
        self._add(builder)

    def _make_shaping(self, axis: Axis) -> None:
        if axis in self.shaping or axis.free:
            raise ConfigError(
                f"{self.name}: {axis.name} cannot vary here: our frames are not scapy's; give it one value"
            )
        self.shaping.append(axis)
        templates = math.prod(each.count for each in self.shaping)
        if templates > MOST_TEMPLATES:
            names = ", ".join(each.name for each in self.shaping)
            raise ConfigError(
                f"{self.name}: {names} change the frame's layout and have {templates} combinations, "
                f"but at most {MOST_TEMPLATES} are allowed; give fewer values"
            )

    def _add(self, builder: Builder) -> None:
        steps: dict[int, int] = {}
        step = 1
        for axis in reversed(self.axes):
            if axis in self.shaping:
                steps[id(axis)] = step
                step *= axis.count
        builder.add_part(
            self.count, [(axis.count, steps.get(id(axis), 0), axis.free) for axis in self.axes], max(step, 1)
        )
        encoded: dict[tuple[int, int], tuple[int, int, int]] = {}
        shaping = [axis for axis in self.axes if axis in self.shaping]
        for digits in itertools.product(*(range(axis.count) for axis in shaping)):
            self._template(builder, shaping, digits, encoded)

    def _chosen(self, digits: dict[int, int]) -> layout.Choice:
        choice = dict(self.single)
        for index, axis in enumerate(self.axes):
            choice[axis.layer, axis.field] = axis.values[digits.get(index, 0)]
        return choice

    def _fixed(self, digits: dict[int, int], tail: bytes = b"") -> Any:
        """The packet with these values (axis -> digit, others 0), padded to its size, ending in `tail`."""
        choice = self._chosen(digits)
        shape = tuple(digits.get(index, 0) for index, axis in enumerate(self.axes) if axis in self.shaping)
        if shape not in self._paddings:
            try:
                bare = layout.fix(self.packet, choice)
                length, payload = len(bytes(bare)), layout.payload_length(bare)
            except Exception as error:  # scapy raises whatever the field's code raises
                raise ConfigError(f"{self.name}: scapy cannot build this packet: {_reason(error)}") from error
            self._paddings[shape] = self._padding(length + FCS_BYTES, payload)
        return layout.fix(self.packet, choice, self._paddings[shape], tail)

    def _padding(self, bare: int, payload: int) -> int:
        """Zeros to add to a frame of `bare` bytes with FCS, of which `payload` are not headers."""
        if bare > FRAME_MAX_WITH_FCS_BYTES:
            raise ConfigError(
                f"{self.name}: {bare} bytes with FCS are above the largest frame, {FRAME_MAX_WITH_FCS_BYTES}; "
                f"shorten the payload"
            )
        least = bare + max(0, TRAILER - payload) if self.trailer else bare
        wanted = self.size if self.size is not None else max(least, self.shortest)
        if wanted < least:
            why = f" and a stamp of {TRAILER} bytes" if self.trailer else ""
            raise ConfigError(
                f"size {wanted} is too small: {self.name}{why} takes {least} bytes with FCS; give size={least} or more"
            )
        if wanted <= FCS_BYTES:
            raise ConfigError(f"{self.name} has no bytes to send; give it a payload or a size")
        return wanted - bare

    def _template(self, builder: Builder, shaping: list[Axis], shape: tuple[int, ...], encoded: Any) -> None:
        digits = {self.axes.index(axis): digit for axis, digit in zip(shaping, shape, strict=True)}
        fixed = self._fixed(digits, bytes(TRAILER) if self.trailer else b"")
        frame = bytearray(bytes(fixed))
        starts = layout.starts_of(fixed)
        stamps: list[Stamp] = []
        for index, axis in enumerate(self.axes):
            if axis in self.shaping:
                continue
            layer, start, _, _ = starts[axis.layer]
            place = layout.place(layer, start, axis.field)
            first, last = place.first // 8, (place.first + place.bits - 1) // 8
            whole = place.first % 8 == 0 and place.bits % 8 == 0
            if not 0 < place.bits <= (128 if whole else 56):
                raise _Misfit(axis)
            # Words of at most 8 bytes: (bits behind it in the field, offset, width)
            pieces = [(0, first, last - first + 1)]
            if last - first + 1 > 8:
                pieces = [(64, first, last - first - 7), (0, last - 7, 8)]
            for behind, offset, width in pieces:
                key = (index, behind)
                if key not in encoded:
                    encoded[key] = self._encode(builder, axis, layer, place, behind)
                shift = 0 if whole else 7 - (place.first + place.bits - 1) % 8
                stamps.append(Stamp(index, offset, width, shift, not whole, *encoded[key]))
            if self.trailer and last >= len(frame) - TRAILER:
                raise _Misfit(axis)
            _clear(frame, place)
        if self.trailer:
            for axis_number, offset in ((AXIS_SEQUENCE, len(frame) - 16), (AXIS_CLOCK, len(frame) - 8)):
                stamps.append(Stamp(axis_number, offset, 8, 0, False, 0, 0, -1))
        builder.add_template(bytes(frame), stamps, _sums(fixed, frame, stamps))

    def _encode(
        self, builder: Builder, axis: Axis, layer: Any, place: layout.Place, behind: int
    ) -> tuple[int, int, int]:
        """(base, step, table) of the values as bits of the frame, shifted right by `behind`."""

        def wire(index: int) -> int:
            try:
                bits = layout.encode(layer, axis.field, place, axis.values[index])
            except Exception as error:  # scapy raises whatever the field's code raises
                value = axis.values[index]
                raise ConfigError(
                    f"{axis.name}={value!r} does not fit the field: {_reason(error)}"
                ) from error
            if bits is None:
                raise _Misfit(axis)
            return bits

        count = axis.count
        if len(axis.values.pieces) == 1 and not axis.free and not isinstance(axis.values.pieces[0], list):
            step = wire(1) - wire(0)
            probes = (2, count // 2, count - 2, count - 1)
            linear = all(wire(probe) == wire(0) + probe * step for probe in probes if 0 <= probe < count)
            if (
                linear and wire(0) >> 64 == wire(count - 1) >> 64
            ):  # no carry from the low word to the high one
                return (wire(0) >> behind) & _WORD, (0 if behind else step) & _WORD, -1
        if count > LARGEST_TABLE:
            raise ConfigError(
                f"{axis.name} has {count} values that are not one range, but at most {LARGEST_TABLE} "
                f"are allowed; give fewer, or one range"
            )
        drawn = axis.values.pieces[0]
        if isinstance(drawn, np.ndarray) and all(
            wire(int(probe)) == drawn[probe] for probe in (0, 1, 2, drawn.argmin(), drawn.argmax())
        ):
            return 0, 0, builder.add_table(np.where(behind, 0, drawn).astype(np.uint64))
        values = np.fromiter(((wire(index) >> behind) & _WORD for index in range(count)), np.uint64, count)
        return 0, 0, builder.add_table(values)

    def _check(self, program: Program) -> None:
        """Compares frames with scapy's: along each axis alone, then spread over the whole product."""
        for index, axis in enumerate(self.axes):
            samples = 4 if (axis.name.partition(".")[0], axis.field) in _PLAIN else 256
            if axis in self.shaping:
                samples = 2
            for digit in sorted({round(k * (axis.count - 1) / (samples - 1)) for k in range(samples)}):
                if not self._agrees(program, {index: digit}):
                    raise _Misfit(axis)
        generator = np.random.default_rng(0)
        for _ in range(8 if len(self.axes) > 1 else 0):
            digits = {index: int(generator.integers(axis.count)) for index, axis in enumerate(self.axes)}
            if not self._agrees(program, digits):
                names = ", ".join(axis.name for axis in self.axes)
                raise ConfigError(
                    f"{self.name}: {names} cannot vary together; give one of them a single value"
                )

    def _agrees(self, program: Program, digits: dict[int, int]) -> bool:
        """Whether the frame with these digits (of axes; others are 0) is scapy's."""
        tail = struct.pack(">IIQ", TRAILER_MAGIC, 7, 0) if self.trailer else b""
        expected = bytes(self._fixed(digits, tail))
        arrays = [np.array([digits.get(index, 0)], np.uint64) for index in range(len(self.axes))]
        sequence = np.array([7], np.uint64)
        frames, lengths = render_digits(program, program.parts[0], arrays, sequence, program.longest)
        return bytes(frames[0, : lengths[0]]) == expected


def _reason(error: Exception) -> str:
    """The first two lines of scapy's error about a value; the rest is advice on how to send it nevertheless."""
    return " ".join(str(error).split("\n")[:2])


def _clear(frame: bytearray, place: layout.Place) -> None:
    for bit in range(place.first, place.first + place.bits):
        frame[bit // 8] &= ~(0x80 >> bit % 8)


def _sums(fixed: Any, frame: bytearray, stamps: list[Stamp]) -> list[Sum]:
    """The checksums of a template as linear terms of its stamps (RFC 1624: the sum of a change is the change
    of the sum).

    A checksum of an inner layer is itself data for an outer one; its term there is the complement of its own
    sum.
    """
    found = layout.checksums(fixed)
    for checksum in found:
        frame[checksum.offset : checksum.offset + 2] = b"\0\0"
    done: list[tuple[layout.Checksum, int, NDArray[np.int64]]] = []
    for checksum in found:
        constant = checksum.extra
        coefficients = np.zeros(len(stamps), np.int64)
        for start, end in checksum.spans:
            words = np.frombuffer(bytes(frame[start:end]) + b"\0" * ((end - start) % 2), ">u2")
            constant += int(words.sum(dtype=np.int64))
            for index, stamp in enumerate(stamps):
                if start <= stamp.offset < end:
                    weight = 256 if (stamp.offset + stamp.width - start) % 2 else 1
                    coefficients[index] += (weight << stamp.shift) % 0xFFFF
            for inner, inner_constant, inner_coefficients in done:
                if start <= inner.offset < end:
                    weight = 256 if (inner.offset - start) % 2 else 1
                    constant += weight * (0xFFFF - inner_constant)
                    coefficients += weight * (0xFFFF - inner_coefficients)
        while constant > 0xFFFF:
            constant = (constant & 0xFFFF) + (constant >> 16)
        done.append((checksum, constant, coefficients % 0xFFFF))
    return [
        Sum(checksum.offset, constant, checksum.zero_is_ffff, tuple(int(each) for each in coefficients))
        for checksum, constant, coefficients in done
    ]
