# SPDX-License-Identifier: BSD-3-Clause
"""Our 82599 driver beside DPDK's net_ixgbe on the model, in turns on one CPU ("solo"): the device steps, a burst is timed.

Same frames, same descriptor rings, same bursts; each side's device is the same model, stepped in the same thread.
"""

import pytest

import pmd
from bench import peer, solo
from dataplane import machine

DESCRIPTORS = 512
SLICES, ROUNDS = 20, 500  # a run is the best slice: what else the machine does is no driver's


@pytest.fixture(scope="module")
def dpdk(tmp_path_factory):
    try:
        with peer.hugepages():
            peer.ready()
            with peer.Peer(tmp_path_factory.mktemp("peer"), machine.usable_cpus()[-1]) as found:
                yield found
    except peer.Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture
def port(lcore):
    with pmd.probe("model0,thread=off,wire=loop") as port:
        port.configure(rx_desc=DESCRIPTORS, tx_desc=DESCRIPTORS)
        port.rx(0), port.tx(0)
        port.start()
        port.wait_link()
        yield port


def in_turns(ours, theirs):
    """The best of slices of each, taken by turns."""
    pairs = [(ours(), theirs()) for _ in range(SLICES)]
    return tuple(map(min, zip(*pairs, strict=True)))


@pytest.mark.parametrize("n", [32, 64])
def test_rx_and_tx(compare, port, dpdk, n):
    frame, engine = solo.broadcast(60), port.function.chip.engine
    solo.fill(port.tx(0), port.mempool, n, frame)
    with dpdk.under_way(n, frame):
        compare(
            f"82599 rx + tx beside DPDK's driver, 64 bytes, burst {n}",
            "cycles/packet",
            lambda: in_turns(
                lambda: solo.forward_cycles(port.rx(0), port.tx(0), engine, n, ROUNDS)[0],
                lambda: sum(dpdk.ask("forward", n, ROUNDS, False)[:2]),
            ),
            "DPDK net_ixgbe, vector",
            at_most=0.9,
        )
    assert solo.look(port.rx(0), port.tx(0), engine, n) == frame
    assert solo.drain(port.rx(0), engine) == n
