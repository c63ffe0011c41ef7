# SPDX-License-Identifier: BSD-3-Clause
"""Check that an address of this process is mapped, for the few verbs that take addresses from Python."""

from __future__ import annotations

from pathlib import Path

from dataplane.files.sysfs import read_text

__all__ = ["is_code", "is_memory"]

_MAPS = Path("/proc/self/maps")


def is_code(address: int) -> bool:
    """Whether code is mapped at that address."""
    return _covered(address, 1, "x")


def is_memory(address: int, size: int, *, write: bool = True) -> bool:
    """Whether all of `size` bytes from `address` on may be read, and written."""
    return _covered(address, size, "rw" if write else "r")


def _covered(address: int, size: int, wanted: str) -> bool:
    """Whether mappings with all those permissions cover the range without a gap. /proc/PID/maps is in ascending order."""
    if address <= 0 or size <= 0:
        return False
    end = address + size
    for line in read_text(_MAPS).splitlines():
        span, permissions = line.split(None, 2)[:2]
        first, last = (int(word, 16) for word in span.split("-"))
        if last <= address:
            continue
        if first > address or not all(letter in permissions for letter in wanted):
            return False
        address = last
        if address >= end:
            return True
    return False
