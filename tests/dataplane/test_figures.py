# SPDX-License-Identifier: BSD-3-Clause
"""Figures as text: digits that they are good for, and units."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataplane.reports.figures import bit_rates, duration, packet_rate, significant


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (1234.5, 3, "1230"),
        (0.0123456, 3, "0.0123"),
        (9.999, 3, "10.0"),
        (99.96, 3, "100"),
        (14.880952, 4, "14.88"),
        (0, 3, "0"),
        (-2.345, 2, "-2.3"),
        (math.inf, 3, "inf"),
    ],
)
def test_significant(value, digits, text):
    assert significant(value, digits) == text


@given(st.floats(1e-9, 1e12), st.integers(2, 4))
def test_the_text_is_the_value_to_that_precision(value, digits):
    text = significant(value, digits)
    assert "e" not in text
    assert float(text) == pytest.approx(value, rel=0.51 * 10 ** (1 - digits))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0025831, "2.58 ms"),
        (1.5, "1.50 s"),
        (119, "119 s"),
        (120, "2.00 minutes"),
        (7200, "2.00 hours"),
        (86400 * 3, "3.00 days"),
        (86400 * 365.25 * 55, "55.0 years"),
        (45e-9, "45.0 ns"),
        (0, "0 ns"),
    ],
)
def test_duration(seconds, text):
    assert duration(seconds) == text


def test_a_full_line_of_64_byte_frames():
    """14,880,952 frames of 64 bytes with FCS are 10 Gbit/s on the line, and 7.62 of frames."""
    assert packet_rate(14_880_952 * 2, 2.0) == "14.88 Mpps"
    assert bit_rates(14_880_952 * 2, 14_880_952 * 2 * 60, 2.0) == "7.619 Gbit/s L2, 10.00 Gbit/s L1"


def test_a_short_run_is_good_for_fewer_digits():
    assert packet_rate(1000, 0.0025831) == "390 kpps"
    assert packet_rate(38_712, 0.1) == "387 kpps"
    assert packet_rate(387_120, 1.0) == "387.1 kpps"
    assert packet_rate(7, 1.0) == "7.0 pps"
    assert packet_rate(5, 0.0) == "0 pps"


@given(st.integers(0, 10**12), st.just(0.0) | st.floats(1e-9, 1e6))
def test_every_rate_has_a_unit(packets, seconds):
    assert re.fullmatch(r"[\d.]+ [GMk]?pps", packet_rate(packets, seconds))
