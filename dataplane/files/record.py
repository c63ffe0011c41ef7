# SPDX-License-Identifier: BSD-3-Clause
"""A packet of a capture for Python; `record.pxd` has the same for C."""

from __future__ import annotations

import logging
from typing import NamedTuple

from dataplane.reports.figures import duration

__all__ = ["ETHERNET", "Record", "warn_of_gap"]

log = logging.getLogger("dataplane")

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


def warn_of_gap(who: str, packet: int, wait_ns: int, mend: str) -> None:
    """Say in the log that a packet of a capture is due in a long time.

    who: what replays it; packet: its number in the capture, from 1; wait_ns: until it is due; mend: what ends the wait.
    """
    log.warning(
        "%s: packet %d is due in %s, as in the capture: %s", who, packet, duration(wait_ns * 1e-9), mend
    )
