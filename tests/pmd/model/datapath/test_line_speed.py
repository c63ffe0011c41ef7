# SPDX-License-Identifier: BSD-3-Clause
"""A link of 1 Gb/s: how fast frames leave, and what a queue's rate is a part of (datasheet 8.2.3.10.16, 8.2.3.22.20)."""

import pytest

from dataplane.pmd.datasheet import LINKS, RTTBCNRC, RTTBCNRM, RTTDQSEL, SPEED_1G, SPEED_10G, SPEED_100M
from tests.pmd.model.datapath.test_rate import sent_in
from tests.pmd.model.rig import pair

MBPS = {SPEED_100M: 100, SPEED_1G: 1000, SPEED_10G: 10_000}


@pytest.mark.parametrize(("speed", "size"), [(SPEED_1G, 60), (SPEED_1G, 1514), (SPEED_100M, 1000)])
def test_a_slow_line_takes_no_more_than_it_carries(speed, size):
    """With preamble and gap, over 10 ms, to a percent and what a step moves."""
    a, b = pair()
    a.tx_queue(n=64), b.rx_queue(n=128)
    a.write(LINKS, LINKS.pack(UP=1, SPEED=speed))
    sent_in(a, b, 500_000, size, step_ns=2_000)  # what the line saved up is gone
    expected = MBPS[speed] * 1e6 * 10e-3 / (8 * (size + 24))
    count = sent_in(a, b, 10_000_000, size, step_ns=2_000)
    assert abs(count - expected) <= 32 + expected * 0.01


@pytest.mark.parametrize("speed", [SPEED_1G, SPEED_10G])
def test_a_factor_is_of_the_links_own_speed(speed):
    """The same word, ten times the line: 100 Mb/s is what a factor of 10 leaves of 1 Gb/s."""
    a, b = pair()
    a.tx_queue(n=32), b.rx_queue(n=64)
    a.write(LINKS, LINKS.pack(UP=1, SPEED=speed))
    a.write(RTTBCNRM, 4)
    a.write(RTTDQSEL, 0)
    a.write(RTTBCNRC, 10 << 14 | 1 << 31)
    sent_in(a, b, 1_000_000, 596, step_ns=1_000)
    expected = MBPS[speed] / 10 * 1e6 * 4e-3 / (8 * 600)
    assert abs(sent_in(a, b, 4_000_000, 596, step_ns=1_000) - expected) <= 1 + expected * 0.002


def test_a_factor_that_is_written_again_forgives_nothing():
    """A queue that rests goes on resting: a driver that writes its limit again and again does not lift it."""
    a, b = pair()
    a.tx_queue(n=32), b.rx_queue(n=64)
    a.write(RTTBCNRM, 4)
    a.write(RTTDQSEL, 0)
    sent = 0
    for _ in range(200):
        a.write(RTTBCNRC, 100 << 14 | 1 << 31)
        sent += sent_in(a, b, 20_000, 1514, step_ns=5_000)
    assert sent <= 2 + 100e6 * 4e-3 / (8 * 1518), "100 Mb/s for 4 ms"
