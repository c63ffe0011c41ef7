# SPDX-License-Identifier: BSD-3-Clause
"""The PF driver's bursts on the model, driver and device in turns on one lcore ("solo"); 64-byte frames.

The peers' figures were recorded once on another machine (DPDK 22.11 and ixy, Zen 5 at 2.6 GHz): for orientation, not a
comparison in one run.
"""

import pytest

import pmd
from bench import solo

FRAME = solo.broadcast(60)
SLICES, ROUNDS = 20, 500


@pytest.fixture
def port():
    """One queue each way, and a plug that brings back what is sent."""
    with pmd.probe("model0,thread=off,wire=loop") as port:
        port.rx(0), port.tx(0)
        port.start()
        port.wait_link()
        yield port


def forward(port, n, what):
    """Cycles per packet, the best of several slices: what else the machine does is not the driver's."""
    slices = [
        solo.forward_cycles(port.rx(0), port.tx(0), port.function.chip.engine, n, ROUNDS)
        for _ in range(SLICES)
    ]
    return min(slices)[what]


@pytest.mark.parametrize(("n", "goal"), [(32, 30), (64, 30)])
def test_rx_and_tx(measure, lcore, port, n, goal):
    solo.fill(port.tx(0), port.mempool, n, FRAME)
    measure(
        f"82599 rx + tx, solo, burst {n}",
        "cycles/packet",
        lambda: forward(port, n, 0),
        at_most=goal,
        peer="DPDK net_ixgbe, vector (recorded)",
        peer_value=15.0,
    )


def test_rx_and_tx_in_small_bursts(measure, lcore, port):
    solo.fill(port.tx(0), port.mempool, 4, FRAME)
    measure("82599 rx + tx, solo, burst 4", "cycles/packet", lambda: forward(port, 4, 0))


def test_a_poll_in_vain(measure, lcore, port):
    measure("82599 rx, empty poll", "cycles", lambda: solo.empty_cycles(port.rx(0), 100_000), at_most=30)
