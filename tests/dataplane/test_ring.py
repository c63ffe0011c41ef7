# SPDX-License-Identifier: BSD-3-Clause
"""Ring: order, bounds, and threads that run without the GIL."""

import threading
from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.loops import micro
from dataplane.errors import ConfigError
from dataplane.mempool import Mempool
from dataplane.ring import Ring


@settings(max_examples=100, deadline=None)
@given(st.booleans(), st.sampled_from([2, 8, 64]), st.lists(st.integers(-70, 70), max_size=80))
def test_behaves_like_a_bounded_deque(single, slots, steps):
    ring, model, number = Ring(slots, single=single), deque(), 1
    for step in steps:
        if step >= 0:
            fed = list(range(number, number + step))
            took = ring.put(fed)
            assert took == min(step, slots - len(model))
            model.extend(fed[:took])
            number += took
        else:
            got = ring.get(-step)
            assert got == [model.popleft() for _ in range(min(-step, len(model)))]
        assert len(ring) == len(model)


@pytest.mark.parametrize("slots", [0, 1, 3, 1000, 1 << 25])
def test_slots_are_a_power_of_two(slots):
    with pytest.raises(ConfigError, match="power of two"):
        Ring(slots)


@pytest.mark.parametrize("bulk", [False, True])
@pytest.mark.parametrize(("single", "producers", "consumers"), [(True, 1, 1), (False, 1, 1), (False, 3, 2)])
def test_nothing_is_lost_or_doubled_between_threads(single, producers, consumers, bulk):
    ring, each, sums = Ring(128, single=single), 60_000, []
    feeders = [
        threading.Thread(target=micro.produce, args=(ring, (p << 32) + 1, each, 32, bulk))
        for p in range(producers)
    ]
    takers = [
        threading.Thread(target=lambda: sums.append(micro.consume(ring, each * producers // consumers, 17)))
        for _ in range(consumers)
    ]
    for thread in feeders + takers:
        thread.start()
    for thread in feeders + takers:
        thread.join(60)
    assert len(sums) == consumers
    assert sum(total for total, _ in sums) == sum(
        (p << 32) * each + each * (each + 1) // 2 for p in range(producers)
    )
    assert all(ordered for _, ordered in sums)
    assert len(ring) == 0


def test_drain_frees_what_is_in_it():
    pool, ring = Mempool(100), Ring(256)
    assert ring.put(pool.take(90)) == 90
    assert pool.available == 10
    assert ring.drain() == 90
    assert pool.available == 100
