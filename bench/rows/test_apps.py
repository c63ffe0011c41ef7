# SPDX-License-Identifier: BSD-3-Clause
"""Whole pipelines on one lcore, between null ports and round a ring: what stands between Rx and Tx, statistics included.

The pipeline is run lap by lap in the benchmark's own thread, and a figure is the best of many slices. What is judged here is
how apps that are not compiled compare with those that are; `test_peer_programs.py` has the compiled ones beside DPDK's.
"""

import pytest

from dataplane import Native, Pipeline, eth, mac_number
from dataplane.access import exchange, store
from dataplane.apps import L2Fwd, MacSwap, Reflect
from dataplane.clock import cycles, hz
from dataplane.pmd import probe

SLICES = 40
PACKETS = 16_384  # of a slice


def best(pipeline, burst):
    """Cycles per packet of the best slice."""
    with pipeline.stepper() as stepper:
        stepper.step(64)
        found = []
        for _ in range(SLICES):
            start = cycles()
            packets = stepper.step(PACKETS // burst)
            found.append((cycles() - start) / packets)
    return min(found)


@pytest.fixture
def between_nulls():
    """between_nulls(make, burst): cycles per packet of an app, both ways between two null ports."""
    ports = probe("null:size=60"), probe("null:size=60")

    def measured(make, burst=32):
        left, right = ports
        chains = left.rx() >> make() >> right.tx(), right.rx() >> make() >> left.tx()
        return best(Pipeline(*chains, burst=burst), burst)

    yield measured
    for port in ports:
        port.close()


@pytest.fixture
def round_a_ring():
    """round_a_ring(make): cycles per packet of an app between the two ends of a ring with 32 packets in it."""
    null, ring = probe("null:size=60"), probe("ring:loop,single=on")
    ring.rx(), ring.tx()

    def measured(make, burst=32):
        ring.start()
        Pipeline(null.rx() >> ring.tx(), burst=burst).run(count=burst)
        cost = best(Pipeline(ring.rx() >> make() >> ring.tx(), burst=burst), burst)
        ring.stop()
        return cost

    yield measured
    null.close(), ring.close()


LEFT, RIGHT = "02:00:00:00:00:01", "02:00:00:00:00:02"
SRC, DST = mac_number(LEFT), mac_number(RIGHT)


def forwarder():
    return L2Fwd(src=LEFT, dst=RIGHT)


def rewrite(data, length):
    """The same as a plain Python function."""
    store(data, eth.dst, DST)
    store(data, eth.src, SRC)
    return 0


def swap(data, length):
    """Reflect as a plain Python function."""
    exchange(data, eth.src, eth.dst)
    return 0


COMPILED = pytest.mark.parametrize(
    ("make", "what"), [(forwarder, "l2fwd"), (Reflect, "macswap")], ids=["l2fwd", "macswap"]
)


@COMPILED
def test_null(measure, lcore, between_nulls, make, what):
    measure(f"{what} between null ports, burst 32", "cycles/packet", lambda: between_nulls(make), slices=5)


@COMPILED
def test_ring(measure, lcore, round_a_ring, make, what):
    measure(f"{what} round a ring, burst 32", "cycles/packet", lambda: round_a_ring(make), slices=5)


@pytest.mark.parametrize(
    ("function", "make", "what"),
    [(rewrite, forwarder, "l2fwd"), (swap, Reflect, "macswap")],
    ids=["l2fwd", "macswap"],
)
def test_native(compare, lcore, between_nulls, function, make, what):
    pytest.importorskip("numba")
    apps = [Native(function), Native(function)]
    compare(
        f"{what} as a plain Python function (numba), null, burst 32",
        "cycles/packet",
        lambda: between_nulls(iter(apps).__next__),
        lambda: between_nulls(make),
        "the compiled one",
    )


def test_numpy(compare, lcore, between_nulls):
    compare(
        "macswap in NumPy, null, burst 256",
        "Mpps",
        lambda: hz() / between_nulls(MacSwap, 256) / 1e6,
        lambda: hz() / between_nulls(Reflect, 256) / 1e6,
        "the compiled one",
        more=True,
    )
