# SPDX-License-Identifier: BSD-3-Clause
"""The memory floor: mempool and ring, one lcore, objects hot in the cache; beside DPDK's, in turns on one CPU."""

import pytest

from bench.loops import micro
from dataplane.mempool import Mempool
from dataplane.ring import Ring

ROUNDS = 1000
SLICES = 110


@pytest.mark.parametrize("burst", [32, 64])
def test_mempool(compare, lcore, dpdk, burst):
    pool = Mempool(8192)
    compare(
        f"mempool alloc + free in bulk, burst {burst}",
        "cycles/mbuf",
        lambda: micro.mempool_cycles(pool, burst, ROUNDS),
        lambda: dpdk.ask("mempool", burst, ROUNDS),
        "rte_mempool get + put",
        slices=SLICES,
    )


def test_packets(compare, lcore, dpdk):
    pool = Mempool(8192)
    compare(
        "mbufs alloc in bulk + free packet by packet, burst 32",
        "cycles/mbuf",
        lambda: micro.packet_cycles(pool, 32, ROUNDS),
        lambda: dpdk.ask("mbufs", 32, ROUNDS),
        "rte_pktmbuf alloc + free in bulk",
        slices=SLICES,
    )


@pytest.mark.parametrize(("single", "kind"), [(True, "SPSC"), (False, "MPMC")])
def test_ring(compare, lcore, dpdk, single, kind):
    ring = Ring(1024, single=single)
    compare(
        f"ring {kind} enqueue + dequeue, burst 32",
        "cycles/object",
        lambda: micro.ring_cycles(ring, 32, ROUNDS),
        lambda: dpdk.ask("ring", single, 32, ROUNDS),
        f"rte_ring {kind}",
        slices=SLICES,
    )
