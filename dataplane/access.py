# SPDX-License-Identifier: BSD-3-Clause
"""`load`, `store`, `exchange`: header fields of one packet, by the same names as the columns of a burst.

They are for native apps (``def f(data, length)``), where numba makes single instructions of them; in plain Python they work
on whatever holds bytes. Nothing is checked: it is for the function to look at `length` first.
"""

from __future__ import annotations

from typing import Any

from dataplane.columns.field import Field

__all__ = ["exchange", "load", "store"]


def load(data: Any, field: Field) -> int:
    """The field's value in host byte order."""
    value = int.from_bytes(bytes(data[field.offset : field.offset + field.width]), "big")
    return value >> field.shift & field.mask


def store(data: Any, field: Field, value: int) -> None:
    """Write the field; bits that it does not have are cut off, neighbouring bits stay."""
    end = field.offset + field.width
    rest = int.from_bytes(bytes(data[field.offset : end]), "big") & ~(field.mask << field.shift)
    data[field.offset : end] = (rest | (int(value) & field.mask) << field.shift).to_bytes(field.width, "big")


def exchange(data: Any, one: Field, other: Field) -> None:
    """Two fields of the same width in bits change places: ``exchange(data, eth.src, eth.dst)`` turns a frame round."""
    if one.mask != other.mask:
        raise ValueError(f"{one!r} and {other!r} differ in width: they cannot change places")
    kept = load(data, one)
    store(data, one, load(data, other))
    store(data, other, kept)
