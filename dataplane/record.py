# SPDX-License-Identifier: BSD-3-Clause
"""A packet of a capture for Python; `record.pxd` has the same for C."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["ETHERNET", "Record"]

ETHERNET = 1  # LINKTYPE_ETHERNET


class Record(NamedTuple):
    """One packet of a capture file.

    timestamp_ns: since the epoch, None where the file does not say; data: the captured bytes; original_length: bytes on
    the wire; link_type: LINKTYPE_*; interface: of the file, counted from 0.
    """

    timestamp_ns: int | None
    data: bytes
    original_length: int
    link_type: int = ETHERNET
    interface: int = 0
