# SPDX-License-Identifier: BSD-3-Clause
"""Many queues: what an idle one costs whoever polls it, and one port's queues over several lcores."""

import pytest

import pmd
from bench import queues, solo

SLICES, LAPS = 60, 100
PLAIN = solo.broadcast(60)  # no protocol: no hash, so it comes by queue 0


@pytest.fixture
def open_port():
    """open_port(n): n Rx queues and one Tx queue, and a plug that brings back what is sent."""
    ports = []

    def start(n):
        port = pmd.probe("model0,thread=off,wire=loop,rx_desc=128")
        ports.append(port)
        port.rx(n - 1), port.tx(0)
        port.start()
        port.wait_link()
        solo.fill(port.tx(0), port.mempool, 32, PLAIN)
        return port

    yield start
    for port in ports:
        port.close()


def added(port, n):
    """Cycles that each further queue adds to a lap over the first: laps over one and over n by turns, the best of each.

    What else the machine does is not the driver's, and would count n - 1 times less with many queues than with few.
    """
    engine, tx = port.function.chip.engine, port.tx(0)
    every = [port.rx(q) for q in range(n)]
    alone, together = (
        min(laps)
        for laps in zip(
            *(
                [queues.lap_cycles(some, tx, engine, LAPS) for some in (every[:1], every)]
                for _ in range(SLICES)
            ),
            strict=True,
        )
    )
    return (together - alone) / (n - 1)


@pytest.mark.parametrize("n", [4, 16, 64])
def test_an_idle_queue(measure, lcore, open_port, n):
    """32 packets a lap by one queue, and nothing by the others."""
    port = open_port(n)
    measure(
        f"82599 rx, {n} queues polled, 1 busy: an idle one adds",
        "cycles/poll",
        lambda: added(port, n),
        at_most=6,
    )
