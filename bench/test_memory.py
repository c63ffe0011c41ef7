# SPDX-License-Identifier: BSD-3-Clause
"""The memory floor: mempool and ring, one lcore, objects hot in the cache.

The peers' figures were recorded once on another machine (DPDK 22.11, Zen 5 at 2.6 GHz): for orientation, not a comparison
in one run.
"""

import pytest

from bench import micro
from dataplane.mempool import Mempool
from dataplane.ring import Ring

ROUNDS = 100_000


@pytest.mark.parametrize("burst", [32, 64])
def test_mempool(measure, lcore, burst):
    pool = Mempool(8192)
    measure(
        f"mempool alloc + free in bulk, burst {burst}",
        "cycles/mbuf",
        lambda: micro.mempool_cycles(pool, burst, ROUNDS),
        peer="rte_mempool get + put (recorded)",
        peer_value=0.75,
    )


def test_packets(measure, lcore):
    pool = Mempool(8192)
    measure(
        "mempool alloc + free packet by packet, burst 32",
        "cycles/mbuf",
        lambda: micro.packet_cycles(pool, 32, ROUNDS),
        peer="rte_pktmbuf alloc + free in bulk (recorded)",
        peer_value=8.6,
    )


@pytest.mark.parametrize(("single", "kind", "peer"), [(True, "SPSC", 1.2), (False, "MPMC", 1.7)])
def test_ring(measure, lcore, single, kind, peer):
    ring = Ring(1024, single=single)
    measure(
        f"ring {kind} enqueue + dequeue, burst 32",
        "cycles/object",
        lambda: micro.ring_cycles(ring, 32, ROUNDS),
        peer="rte_ring (recorded)",
        peer_value=peer,
    )
