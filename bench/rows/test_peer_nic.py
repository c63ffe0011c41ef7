# SPDX-License-Identifier: BSD-3-Clause
"""Our 82599 driver beside DPDK's net_ixgbe on the model, in turns on one CPU ("solo"): the device steps, a burst is timed.

Same frames, same descriptor rings, same bursts; each side's device is the same model, stepped in the same thread.
"""

import pytest

from bench.loops import solo
from dataplane import pmd

DESCRIPTORS = 512
SLICES, ROUNDS = 60, 250


@pytest.fixture
def port(lcore, request):
    options = getattr(request, "param", "")
    with pmd.probe("model0,thread=off,wire=loop" + options) as port:
        port.configure(rx_desc=DESCRIPTORS, tx_desc=DESCRIPTORS)
        port.rx(0), port.tx(0)
        port.start()
        port.wait_link()
        yield port


@pytest.mark.parametrize("n", [32, 64])
def test_rx_and_tx(compare, port, dpdk, n):
    frame, engine = solo.broadcast(60), port.function.chip.engine
    solo.fill(port.tx(0), port.mempool, n, frame)
    with dpdk.under_way(n, frame):
        compare(
            f"82599 rx + tx beside DPDK's driver, 64 bytes, burst {n}",
            "cycles/packet",
            lambda: solo.forward_cycles(port.rx(0), port.tx(0), engine, n, ROUNDS)[0],
            lambda: sum(dpdk.ask("forward", n, ROUNDS)[:2]),
            "DPDK net_ixgbe, vector",
            slices=SLICES,
        )
    assert solo.look(port.rx(0), port.tx(0), engine, n) == frame
    assert solo.drain(port.rx(0), engine) == n


@pytest.mark.parametrize("port", [",vlan_strip=on"], indirect=True)
@pytest.mark.parametrize("dpdk", [True], indirect=True)
@pytest.mark.parametrize("head", [0, 42], ids=["one mbuf", "two mbufs"])
def test_offloads(compare, port, dpdk, head):
    raw, done, engine = solo.udp(60, False), solo.udp(60, True), port.function.chip.engine
    solo.fill(port.tx(0), port.mempool, 32, raw)
    with dpdk.under_way(32, raw, done):
        compare(
            f"82599 rx + tx with checksums and VLAN beside DPDK's driver, {'two mbufs' if head else 'one mbuf'}, burst 32",
            "cycles/packet",
            lambda: solo.offload_cycles(port.rx(0), port.tx(0), engine, port.mempool, 32, ROUNDS, raw, head)[
                0
            ],
            lambda: sum(dpdk.ask("forward", 32, ROUNDS, raw.hex(), head)[:2]),
            "DPDK net_ixgbe, offloads and full-featured tx",
            slices=SLICES,
        )
    assert solo.look(port.rx(0), port.tx(0), engine, 32) == done
    assert solo.drain(port.rx(0), engine) == 32
