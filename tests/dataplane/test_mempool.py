# SPDX-License-Identifier: BSD-3-Clause
"""Mempool: geometry, all or nothing, last in first out, lcore caches, and what a debug pool catches."""

import ctypes
import subprocess
import sys
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.loops import micro
from dataplane import machine
from dataplane.errors import ConfigError, MemoryExhausted, MempoolError
from dataplane.memory.hugepage import Arena
from dataplane.mempool import Mempool


class Mbuf(ctypes.Structure):
    """The layout once more, by hand: a change of dataplane.h that drivers would not survive fails here."""

    _fields_ = [
        ("buf_addr", ctypes.c_uint64),
        ("buf_iova", ctypes.c_uint64),
        ("data_off", ctypes.c_uint16),
        ("refcnt", ctypes.c_uint16),
        ("nb_segs", ctypes.c_uint16),
        ("port", ctypes.c_uint16),
        ("ol_flags", ctypes.c_uint64),
        ("packet_type", ctypes.c_uint32),
        ("pkt_len", ctypes.c_uint32),
        ("data_len", ctypes.c_uint16),
        ("vlan_tci", ctypes.c_uint16),
        ("rss_hash", ctypes.c_uint32),
        ("vlan_tci_outer", ctypes.c_uint16),
        ("buf_len", ctypes.c_uint16),
        ("l2_len", ctypes.c_uint16),
        ("l3_len", ctypes.c_uint16),
        ("pool", ctypes.c_uint64),
        ("next", ctypes.c_uint64),
        ("timestamp_ns", ctypes.c_uint64),
    ]


def mbuf(address):
    return Mbuf.from_address(address)


def test_geometry():
    pool = Mempool(2000)
    element = 128 + 128 + 2048 + 64  # an odd number of cache lines
    addresses = sorted(pool.take(2000))
    for index, address in enumerate(addresses):
        m = mbuf(address)
        page, slot = divmod(index, (2 << 20) // element)
        assert address == addresses[0] + page * (2 << 20) + slot * element  # none straddles a 2 MiB page
        assert m.buf_addr == address + 128
        assert m.buf_iova == pool.arena.iova_of(m.buf_addr)
        assert (m.data_off, m.refcnt, m.nb_segs, m.next) == (128, 1, 1, 0)
        assert m.buf_len == 128 + 2048
    pool.give(addresses)
    assert pool.available == 2000


@pytest.mark.parametrize("room", [64, 128, 1984, 2048, 2112, 16384])
def test_behind_each_data_room_are_bytes_to_spare(room):
    """Code that works in words may touch them; and an odd number of lines spreads the headers over all sets of a cache."""
    pool = Mempool(3, data_room=room, hugepages="no")
    taken = pool.take(3)
    first, second, third = sorted(taken)
    pool.give(taken)
    assert second - first == third - second >= 128 + 128 + room + 16
    assert (second - first) % 128 == 64


def test_all_or_nothing():
    pool = Mempool(10)
    held = pool.take(8)
    with pytest.raises(MemoryExhausted, match="no 3 free mbufs"):
        pool.take(3)
    assert pool.alloc_failures == 1
    assert pool.in_use == 8
    held += pool.take(2)
    assert len(set(held)) == 10
    pool.give(held)
    assert pool.available == 10


def test_last_in_first_out():
    pool = Mempool(64)
    (a,) = pool.take(1)
    pool.give([a])
    assert pool.take(1) == [a]
    pool.give([a])


@pytest.mark.parametrize(
    ("n", "room"), [(0, 2048), (-1, 2048), (1 << 25, 2048), (8, 100), (8, 0), (8, 16448)]
)
def test_impossible_pools_are_refused(n, room):
    with pytest.raises(ConfigError, match="must be"):
        Mempool(n, data_room=room)


def test_pools_share_an_arena_and_give_it_back():
    with Arena(4 << 20, hugepages="no") as arena:
        pools = [Mempool(100, arena=arena) for _ in range(3)]
        ranges = sorted(pool.take(1)[0] for pool in pools)
        assert len(set(ranges)) == 3
        for pool in pools:
            pool.give([address for address in ranges if mbuf(address).pool == mbuf_pool(pool)])
            assert pool.available == 100
        del pool, pools
        arena.free(arena.alloc(arena.size))


def mbuf_pool(pool):
    (address,) = pool.take(1)
    pool.give([address])
    return mbuf(address).pool


def test_chains_come_back_segment_by_segment():
    one, other = Mempool(10, name="one"), Mempool(10, name="other")
    a, b = one.take(2)
    (c,) = other.take(1)
    mbuf(a).next, mbuf(b).next = b, c
    one.give([a])
    assert (one.available, other.available) == (10, 10)
    assert {mbuf(address).next for address in (a, b, c)} == {0}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-300, 300).filter(bool), max_size=60), st.booleans())
def test_no_mbuf_is_handed_out_twice(steps, as_lcore):
    """Any order of takes and gives, through an lcore's cache or without one, against a plain set."""
    pool = Mempool(700)
    free, held = set(pool.take(700)), []
    pool.give(free)
    if as_lcore:
        machine.enter()
    try:
        for step in steps:
            if step > 0:
                if step > len(free):
                    with pytest.raises(MemoryExhausted):
                        pool.take(step)
                else:
                    taken = pool.take(step)
                    assert free.issuperset(taken)
                    assert len(set(taken)) == step
                    free.difference_update(taken)
                    held += taken
            else:
                back, held = held[:-step], held[-step:]
                pool.give(back)
                free.update(back)
            assert pool.available == len(free)
        pool.give(held)
    finally:
        machine.leave()
    assert pool.available == 700


def test_lcores_keep_caches_of_their_own():
    pool = Mempool(2000)
    problems = []

    def work():
        machine.enter()
        try:
            for n in (1, 7, 32, 256, 64) * 40:
                held = pool.take(n)
                for address in held:
                    mbuf(address).ol_flags = address
                problems.extend(address for address in held if mbuf(address).ol_flags != address)
                pool.give(held)
        finally:
            machine.leave()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    assert pool.available == 2000


@pytest.mark.parametrize("misuse", ["double free", "write after free", "foreign"])
def test_a_debug_pool_catches(misuse):
    pool, other = Mempool(8, debug=True), Mempool(8)
    pool.check()
    (address,) = pool.take(1)
    m = mbuf(address)
    if misuse == "foreign":
        pool_address = m.pool
        (stray,) = other.take(1)
        own = mbuf(stray).pool
        mbuf(stray).pool = pool_address
        micro.free_unchecked([stray])
        mbuf(stray).pool = own
        other.give([stray])
        pool.give([address])
    else:
        pool.give([address])
        if misuse == "double free":
            micro.free_unchecked([address])
        else:
            ctypes.memset(m.buf_addr + 128 + 1000, 0, 1)
            pool.give(pool.take(1))
    assert pool.available == 8
    with pytest.raises(MempoolError, match="freed twice"):
        pool.check()


def test_a_pool_that_lives_to_the_end_of_the_interpreter_says_nothing():
    program = (
        "import sys\nfrom dataplane.mempool import Mempool\n"
        "def held(): pass\n"
        "held.self, held.pool = held, Mempool(64, hugepages='no')\n"
        "sys.held = held\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
