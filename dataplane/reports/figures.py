# SPDX-License-Identifier: BSD-3-Clause
"""Figures as text: with a unit, and with as many digits as they are good for."""

from __future__ import annotations

import math

from dataplane.limits import FCS_BYTES, PREAMBLE_AND_GAP_BYTES

__all__ = ["bit_rates", "duration", "l1_bits", "l2_bits", "packet_rate", "significant"]


# Units of time above a second and how many seconds each has, the largest first.
_LONG = (("years", 365.25 * 86400), ("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0))
_SHORT = (("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9))
_SCALES = (("G", 1e9), ("M", 1e6), ("k", 1e3), ("", 1.0))


def significant(value: float, digits: int = 3) -> str:
    """`value` with `digits` significant digits, never in the form 1e+06: 1234.5 is "1230" and 0.0123456 is "0.0123"."""
    if not value or not math.isfinite(value):
        return f"{value:.0f}"
    rounded = float(f"{value:.{digits - 1}e}")
    return f"{rounded:.{max(digits - 1 - math.floor(math.log10(abs(rounded))), 0)}f}"


def duration(seconds: float) -> str:
    """A time with three digits: "2.58 ms", "1.50 s", "3.20 years". Minutes and more from 120 s on."""
    if seconds >= 120:
        unit, length = next((unit, length) for unit, length in _LONG if seconds >= length)
        return f"{significant(seconds / length)} {unit}"
    unit, length = next(((unit, length) for unit, length in _SHORT if seconds >= length), _SHORT[-1])
    return f"{significant(seconds / length)} {unit}"


def packet_rate(packets: float, seconds: float) -> str:
    """Packets a second: "14.88 Mpps", "387 kpps"."""
    return _rate(packets, packets, seconds, "pps")


def bit_rates(packets: int, size: int, seconds: float) -> str:
    """The bit rate of frames on two layers: "7.62 Gbit/s L2, 10.0 Gbit/s L1".

    packets: frames; size: bytes of all of them, without FCS. L2 counts frames with FCS; L1 counts preamble and gap, too,
    so that a full line of 10 Gbit/s is 10.0 Gbit/s L1 whatever the size of the frames is.
    """
    l2, l1 = l2_bits(packets, size), l1_bits(packets, size)
    return f"{_rate(l2, packets, seconds, 'bit/s')} L2, {_rate(l1, packets, seconds, 'bit/s')} L1"


def l2_bits(packets: float, size: float) -> float:
    """Bits of frames with FCS. size: bytes of all of them, without FCS."""
    return 8 * (size + FCS_BYTES * packets)


def l1_bits(packets: float, size: float) -> float:
    """Bits that frames take on the line: with FCS, preamble and gap. size: bytes of all of them, without FCS."""
    return 8 * (size + (FCS_BYTES + PREAMBLE_AND_GAP_BYTES) * packets)


def _digits(packets: float, seconds: float) -> int:
    """Digits that a rate is good for: a short run is timed to less than a lap of its lcore in a hundred."""
    if seconds >= 1 and packets >= 10_000:
        return 4
    return 3 if seconds >= 0.01 and packets >= 100 else 2


def _rate(amount: float, packets: float, seconds: float, unit: str) -> str:
    rate = amount / seconds if seconds > 0 else 0.0
    prefix, scale = next(((prefix, scale) for prefix, scale in _SCALES if rate >= scale), _SCALES[-1])
    return f"{significant(rate / scale, _digits(packets, seconds))} {prefix}{unit}"
