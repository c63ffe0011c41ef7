# SPDX-License-Identifier: BSD-3-Clause
"""Finds what varies in a scapy packet: one axis per field that holds a set, in the order scapy itself
iterates.

scapy walks a layer's fields from the last one set to the first, so the last one set turns slowest (keyword
arguments count as set in the header's order), and a payload faster than the layer under it. The axes come out
in that order, slowest first, and an index into their product is the number of the packet in ``list(packet)``.
"""

from __future__ import annotations

import bisect
import itertools
import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from dataplane.errors import ConfigError

FREE_DRAWS = 65_536  # values drawn for a random field; afterwards they repeat
SLOW_DRAWS = 4_096  # the same for random values that only scapy can draw, one by one
LARGEST_AXIS = 1 << 48


class Values(Sequence[Any]):
    """The values of one field, ranges and networks left unexpanded: a /8 costs no memory."""

    def __init__(self, pieces: list[Any]) -> None:
        self.pieces = pieces
        lengths = [piece.count if hasattr(piece, "ip2int") else len(piece) for piece in pieces]
        self._ends = list(itertools.accumulate(lengths))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, index: Any) -> Any:
        if index < 0 or index >= len(self):
            raise IndexError(index)
        which = bisect.bisect_right(self._ends, index)
        inside = index - (self._ends[which - 1] if which else 0)
        piece = self.pieces[which]
        if hasattr(piece, "ip2int"):
            return piece.int2ip(piece.start + inside)
        return int(piece[inside]) if isinstance(piece, np.ndarray) else piece[inside]


class Axis:
    """A field that varies: `layer` counts from the outermost, `free` means drawn at random for each frame."""

    def __init__(self, layer: int, owner: str, field: str, values: Values, free: bool) -> None:
        self.layer = layer
        self.field = field
        self.name = f"{owner}.{field}"
        self.values = values
        self.free = free

    @property
    def count(self) -> int:
        """How many values it has."""
        return len(self.values)


def layers_of(packet: Any) -> list[Any]:
    """The layers of `packet`, outermost first."""
    from scapy.packet import NoPayload

    layers = []
    while not isinstance(packet, NoPayload):
        layers.append(packet)
        packet = packet.payload
    return layers


def find_axes(packet: Any, seed: int) -> list[Axis]:
    """Every field of `packet`, slowest first; those with one value too (the caller folds them into the
    template).
    """
    from scapy.volatile import VolatileValue

    axes: list[Axis] = []
    for number, layer in enumerate(layers_of(packet)):
        if layer.explicit or layer.raw_packet_cache is not None:
            continue  # dissected from bytes, or taken from an iteration: every field is one value already
        defaults = itertools.chain(layer.default_fields.items(), layer.overloaded_fields.items())
        names = [
            name for name, value in defaults if isinstance(value, VolatileValue) and name not in layer.fields
        ]
        for name in reversed(names + list(layer.fields)):
            owner = type(layer).__name__
            value = layer.getfieldval(name)
            if isinstance(value, VolatileValue):
                axes.append(Axis(number, owner, name, _drawn(value, seed + len(axes)), free=True))
                continue
            axis = Axis(number, owner, name, _values(layer, name, value), free=False)
            if axis.count == 0:
                raise ConfigError(
                    f"{axis.name} is an empty set, so there is no packet to send; give it a value"
                )
            axes.append(axis)
    return axes


def _values(layer: Any, name: str, value: Any) -> Values:
    from scapy.base_classes import Gen, Net, SetGen

    if isinstance(value, Net):
        return Values([_limited(layer, name, value)])
    if isinstance(value, Gen):
        return Values([list(value)])
    pieces: list[Any] = []
    try:
        elements = SetGen([value] if layer.get_field(name).islist else value).values
    except ValueError as error:
        raise ConfigError(
            f"{type(layer).__name__}.{name}={value!r} is no range ({error}); give (first, last) or (first, last, step)"
        ) from error
    for element in elements:
        if isinstance(element, Net):
            pieces.append(_limited(layer, name, element))
        elif isinstance(element, range):
            pieces.append(element)
        elif isinstance(element, Gen):
            pieces.append(list(element))
        elif hasattr(element, "_fix") and not isinstance(value, (str, bytes)):
            raise ConfigError(
                f"{type(layer).__name__}.{name}: a random value inside a list is not supported; "
                f"use the random value alone, for example {name}=RandShort()"
            )
        else:
            pieces.append([element])
    return Values(pieces)


def _limited(layer: Any, name: str, net: Any) -> Any:
    if net.count > LARGEST_AXIS:
        raise ConfigError(
            f"{type(layer).__name__}.{name}={net!r} has {net.count} addresses, at most 2**48 can vary; "
            f"give a smaller network"
        )
    if net.count < 1:
        raise ConfigError(
            f"{type(layer).__name__}.{name}={net!r} ends before it starts; swap the two addresses"
        )
    return net


def _drawn(value: Any, seed: int) -> Values:
    """Values drawn once at set-up, the same for the same seed."""
    from scapy.volatile import RandNum

    if type(value)._fix is RandNum._fix and -(1 << 62) < value.min <= value.max < 1 << 62:
        draws = np.random.default_rng(seed).integers(value.min, value.max, FREE_DRAWS, endpoint=True)
        return Values([draws])
    state = random.getstate()
    try:
        random.seed(seed)
        return Values([[value._fix() for _ in range(SLOW_DRAWS)]])
    finally:
        random.setstate(state)
