# SPDX-License-Identifier: BSD-3-Clause
"""The PF driver's bursts on the model, driver and device in turns on one lcore ("solo"); 64-byte frames.

Compares the costs of the driver's own paths, without DPDK; `test_peer_nic.py` judges them.
"""

import pytest

from bench.loops import solo
from dataplane import pmd
from dataplane.pmd.ixgbe.queues.kernels import widths

PLAIN = solo.broadcast(60)  # without FCS
SLICES, ROUNDS = 20, 500


@pytest.fixture
def open_port():
    """open_port(options): one queue each way, and a plug that brings back what is sent."""
    ports = []

    def start(options=""):
        port = pmd.probe(f"model0,thread=off,wire=loop{options}")
        ports.append(port)
        port.rx(0), port.tx(0)
        port.start()
        port.wait_link()
        return port

    yield start
    for port in ports:
        port.close()


def forward(port, n):
    return solo.forward_cycles(port.rx(0), port.tx(0), port.function.chip.engine, n, ROUNDS)[0]


@pytest.mark.parametrize("n", [4, 32, 64])
def test_rx_and_tx(measure, lcore, open_port, n):
    port = open_port()
    solo.fill(port.tx(0), port.mempool, n, PLAIN)
    measure(f"82599 rx + tx, solo, burst {n}", "cycles/packet", lambda: forward(port, n), slices=SLICES)


@pytest.mark.parametrize(("head", "what"), [(0, "one segment"), (42, "two segments")], ids=["one", "two"])
def test_rx_and_tx_with_offloads(measure, lcore, open_port, head, what):
    """A tag and checksums taken off and checked on the way in, put in on the way out."""
    port = open_port(",vlan_strip=on")
    frame, engine = solo.udp(60, False), port.function.chip.engine
    solo.fill(port.tx(0), port.mempool, 32, solo.udp(60, True))
    measure(
        f"82599 rx + tx with VLAN and checksums, solo, {what}, burst 32",
        "cycles/packet",
        lambda: solo.offload_cycles(port.rx(0), port.tx(0), engine, port.mempool, 32, ROUNDS, frame, head)[0],
        slices=SLICES,
    )


@pytest.mark.parametrize("simd", widths())
def test_rx_and_tx_by_width(measure, lcore, open_port, simd):
    port = open_port(f",simd={simd}")
    solo.fill(port.tx(0), port.mempool, 32, PLAIN)
    measure(
        f"82599 rx + tx, solo, burst 32, {simd}", "cycles/packet", lambda: forward(port, 32), slices=SLICES
    )


def test_a_poll_in_vain(measure, lcore, open_port):
    port = open_port()
    measure("82599 rx, empty poll", "cycles", lambda: solo.empty_cycles(port.rx(0), 10_000), slices=SLICES)
