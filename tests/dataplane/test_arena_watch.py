# SPDX-License-Identifier: BSD-3-Clause
"""A watcher is called for every arena, older or newer than itself, and before its memory goes."""

import ctypes
import gc

from dataplane.memory.hugepage import Arena, unwatch_arenas, watch_arenas
from dataplane.mempool import Mempool


class Watcher:
    def __init__(self):
        self.seen, self.gone = [], []

    def arena_opened(self, arena):
        self.seen.append(arena.iova)

    def arena_closing(self, arena):
        ctypes.string_at(arena.address, arena.size)  # still mapped
        self.gone.append(arena.iova)


def test_arenas_before_and_after_are_told_of():
    watcher = Watcher()
    before = Arena(4096, hugepages="no")
    watch_arenas(watcher)
    assert before.iova in watcher.seen
    pool = Mempool(8, hugepages="no")
    assert watcher.seen.count(pool.arena.iova) == 1
    before.close()
    before.close()
    assert watcher.gone == [before.iova]
    unwatch_arenas(watcher)
    later = Arena(4096, hugepages="no")
    later.close()
    assert watcher.gone == [before.iova]


def test_an_arena_that_is_collected_is_told_of_too():
    watcher = Watcher()
    watch_arenas(watcher)
    try:
        arena = Arena(4096, hugepages="no")
        iova = arena.iova
        del arena
        gc.collect()
        assert iova in watcher.gone
    finally:
        unwatch_arenas(watcher)


def test_watching_keeps_no_arena_alive():
    watcher = Watcher()
    watch_arenas(watcher)
    try:
        for _ in range(3):
            Arena(4096, hugepages="no")
        assert len(watcher.gone) >= 3
    finally:
        unwatch_arenas(watcher)
        unwatch_arenas(watcher)
