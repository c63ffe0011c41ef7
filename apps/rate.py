# SPDX-License-Identifier: BSD-3-Clause
"""Reads a packet rate: "5 Mpps", "2 Gbps", "50%", or a number of packets per second."""

from __future__ import annotations

import math
import re

from dataplane.errors import ConfigError
from dataplane.limits import PREAMBLE_AND_GAP_BYTES

LINE_RATE = 10_000_000_000  # bit/s: the 82599's ports

_SCALE = {"": 1, "k": 1e3, "m": 1e6, "g": 1e9}
_FORM = re.compile(r"\s*([0-9_]*\.?[0-9]+(?:e[0-9]+)?)\s*(?:([kmg]?)(pps|bps|bit/s)|(%))?\s*", re.IGNORECASE)


def packets_per_second(rate: float | str | None, frame: float, line_rate: float = LINE_RATE) -> float | None:
    """`rate` in packets per second; None means as fast as possible and stays None.

    frame: mean bytes of a frame with FCS. bps counts frames with their FCS, % counts what the line carries: 20 bytes
    more per frame, so that 100% of 10 Gbit/s is 14,880,952 frames of 64 bytes. Raises ConfigError.
    """
    if rate is None:
        return None
    if isinstance(rate, bool) or not isinstance(rate, (int, float, str)):
        raise ConfigError(f"rate={rate!r} is no rate{_HINT}")
    value = _parse(rate, frame, line_rate) if isinstance(rate, str) else float(rate)
    if not math.isfinite(value) or value <= 0:
        raise ConfigError(f"rate={rate!r} is not above 0{_HINT}")
    return value


_HINT = ': write packets per second, or for example "5 Mpps", "2 Gbps" or "50%"; None is as fast as possible'


def _parse(text: str, frame: float, line_rate: float) -> float:
    match = _FORM.fullmatch(text)
    if match is None:
        raise ConfigError(f"rate={text!r} is no rate{_HINT}")
    number, scale, unit, percent = match.groups()
    value = float(number.replace("_", ""))
    if percent:
        if value > 100:
            raise ConfigError(f"rate={text!r} is more than the line carries: give 100% or less")
        return value / 100 * line_rate / (8 * (frame + PREAMBLE_AND_GAP_BYTES))
    value *= _SCALE[(scale or "").lower()]
    return value if unit is None or unit.lower() == "pps" else value / (8 * frame)
