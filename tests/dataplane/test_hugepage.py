# SPDX-License-Identifier: BSD-3-Clause
"""Arena: addresses, IOVAs, cutting and giving back, pages of each kind."""

import ctypes
import mmap
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataplane.errors import ConfigError, MemoryExhausted
from dataplane.memory import hugepage
from dataplane.memory.hugepage import Arena, free_hugepages

MIB = 1 << 20


def test_plain_pages_are_rounded_up_and_zero():
    with Arena(5000, hugepages="no") as arena:
        assert arena.size == 8192
        assert not arena.is_huge
        assert ctypes.string_at(arena.address, arena.size) == bytes(8192)


def test_iova_is_one_range_that_never_equals_the_virtual_address():
    with Arena(3 * MIB, hugepages="no") as arena:
        assert arena.contiguous
        for offset in (0, 1, 4095, 4096, 2 * MIB + 7, arena.size - 1):
            assert arena.iova_of(arena.address + offset) == arena.iova + offset
            assert arena.iova_of(arena.address + offset) != arena.address + offset


def test_iovas_of_live_arenas_keep_apart_and_are_used_again():
    first, second = Arena(MIB, hugepages="no"), Arena(MIB, hugepages="no")
    taken = first.iova
    assert abs(first.iova - second.iova) >= MIB + 2 * MIB  # a gap: running off one's end hits nothing
    first.close()
    with Arena(MIB, hugepages="no") as third:
        assert third.iova == taken
    second.close()


@pytest.mark.parametrize("offset", [-1, 4096])
def test_an_address_outside_has_no_iova(offset):
    with Arena(4096, hugepages="no") as arena, pytest.raises(ConfigError, match="not in arena"):
        arena.iova_of(arena.address + offset)


@pytest.mark.parametrize(("size", "pages"), [(0, "no"), (-1, "no"), (4096, "4M")])
def test_nonsense_is_refused(size, pages):
    with pytest.raises(ConfigError):
        Arena(size, hugepages=pages)


def test_another_process_sees_the_same_bytes_at_the_same_iova():
    with Arena(4096, hugepages="no") as arena:
        code = (
            "import sys, ctypes; from dataplane.memory.hugepage import Arena\n"
            f"other = Arena(1, fd={arena.fd}, iova={arena.iova})\n"
            "assert other.iova_of(other.address + 5) == other.iova + 5\n"
            "ctypes.memmove(other.address + 100, b'from the other side', 19)"
        )
        os.set_inheritable(arena.fd, True)
        subprocess.run([sys.executable, "-c", code], check=True, close_fds=False)
        assert ctypes.string_at(arena.address + 100, 19) == b"from the other side"


def test_a_block_goes_back_once():
    with Arena(8192, hugepages="no") as arena:
        block = arena.alloc(100)
        arena.free(block)
        with pytest.raises(ConfigError, match="not an allocated block"):
            arena.free(block)
        whole = arena.alloc(8192)  # coalesced: all of it can be had again
        with pytest.raises(MemoryExhausted, match="make the arena larger"):
            arena.alloc(1)
        arena.free(whole)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 9000), st.sampled_from([1, 16, 64, 128, 4096]), st.booleans()),
        max_size=30,
    )
)
def test_blocks_never_overlap_and_all_come_back(steps):
    with Arena(64 << 10, hugepages="no") as arena:
        live = []
        for size, align, give_back in steps:
            try:
                block = arena.alloc(size, align=align)
            except MemoryExhausted:
                continue
            assert block.address % align == 0
            assert block.iova - arena.iova == block.address - arena.address
            assert arena.address <= block.address <= arena.address + arena.size - size
            for other in live:
                assert block.address + size <= other.address or other.address + other.size <= block.address
            live.append(block)
            if give_back:
                arena.free(live.pop(len(live) // 2))
        for block in live:
            arena.free(block)
        assert arena.alloc(arena.size).size == arena.size


def test_hugepages_are_used_when_there_are_some():
    if free_hugepages() < 1:
        pytest.skip("needs free hugepages of 2 MiB")
    for _ in range(20):  # until no other process takes or gives back one at the same time
        before = free_hugepages()
        with Arena(1, hugepages="2M") as arena:
            assert arena.page_size == 2 * MIB == arena.size
            assert arena.address % (2 * MIB) == 0
            within = free_hugepages()
        if (within, free_hugepages()) == (before - 1, before):
            return
    raise AssertionError(
        f"{before} pages were free before, {within} beside the arena, {free_hugepages()} after it"
    )


def test_too_few_hugepages_is_an_error_only_when_they_are_insisted_on():
    # One more than there are, used or free: another process may give some back meanwhile.
    there = int(Path("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages").read_text())
    size = (there + 1) * 2 * MIB
    with pytest.raises(MemoryExhausted, match="dataplane doctor"):
        Arena(size, hugepages="2M")
    if size < 64 * MIB:
        with Arena(size) as arena:
            assert arena.page_size == mmap.PAGESIZE


def test_plain_pages_are_announced_in_one_line():
    code = (
        "import logging; logging.basicConfig(format='%(message)s')\n"
        "from dataplane.memory import hugepage\n"
        "hugepage._memfd_real = hugepage._memfd\n"
        "def no_huge(size, page, name):\n"
        "    if page > 4096: raise OSError(12, 'Cannot allocate memory')\n"
        "    return hugepage._memfd_real(size, page, name)\n"
        "hugepage._memfd = no_huge\n"
        "a, b = hugepage.Arena(1), hugepage.Arena(1)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    lines = done.stderr.splitlines()
    assert len(lines) == 1
    assert "plain pages" in lines[0]
    assert "dataplane doctor" in lines[0]


COLLECT_EVERYWHERE = """
import gc
from dataplane.memory import hugepage
from dataplane.memory.hugepage import Arena
from dataplane.mempool import Mempool

def collecting(function):
    def collect_and_call(*args):
        gc.collect()
        return function(*args)
    return collect_and_call

# Called by an arena while it holds a lock: there the collector may run, and find other arenas and pools.
hugepage.insort = collecting(hugepage.insort)
hugepage.Block = collecting(hugepage.Block)
hugepage.bisect_right = collecting(hugepage.bisect_right)
shared = Arena(4 << 20, hugepages="no")
for _ in range(40):
    for thing in (Arena(4096, hugepages="no"), Mempool(64, arena=shared, name="garbage")):
        cycle = [thing]
        cycle.append(cycle)
    shared.free(shared.alloc(64))
del thing, cycle
gc.collect()
shared.alloc(4 << 20)  # everything came back
"""


def test_a_collector_may_run_anywhere():
    """Arenas and pools in garbage are finalized wherever the collector runs, in the middle of another's `alloc` too."""
    subprocess.run(
        [sys.executable, "-c", COLLECT_EVERYWHERE],
        check=True,
        timeout=60,
        env={"PYTHONPATH": ":".join(sys.path)},
    )


@pytest.fixture
def scattered(monkeypatch):
    """Physical addresses of plain pages, as hugepages may lie: every other page follows on the one before it."""

    def addresses(address, size, page, name):
        return [(0x100 + 4 * (n // 2) + n % 2) * page for n in range(size // page)]

    monkeypatch.setattr(hugepage, "_physical_addresses", addresses)


def test_a_block_is_one_piece_for_a_device_where_pages_are_scattered(scattered):
    page = mmap.PAGESIZE
    with Arena(8 * page, hugepages="no", physical=True) as arena:
        assert not arena.contiguous
        blocks = [arena.alloc(3 * page // 4) for _ in range(6)] + [arena.alloc(page)]
        for block in blocks:
            assert arena.iova_of(block.address + block.size - 1) == block.iova + block.size - 1
        starts = [block.address - arena.address for block in blocks]
        assert starts[:4] == [0, 3 * page // 4, 2 * page, 2 * page + 3 * page // 4]


def test_physical_addresses_are_the_default_while_a_device_needs_them(scattered):
    hugepage.hold_physical()
    try:
        with Arena(mmap.PAGESIZE, hugepages="no") as arena:
            assert arena.physical
            assert arena.iova == 0x100 * mmap.PAGESIZE
        with Arena(mmap.PAGESIZE, hugepages="no", physical=False) as arena:
            assert not arena.physical
    finally:
        hugepage.drop_physical()
    with Arena(mmap.PAGESIZE, hugepages="no") as arena:
        assert not arena.physical


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_a_descriptor_that_is_no_arenas_memory_is_not_kept() -> None:
    reader, writer = os.pipe()
    before = descriptors()
    with pytest.raises(OSError):
        Arena(1, fd=reader)
    assert descriptors() == before
    os.close(reader), os.close(writer)


def test_an_arena_is_made_once() -> None:
    """Mempools have addresses in its memory: a second one in its place would leave them without."""
    arena = Arena(4096, hugepages="no")
    before, address = descriptors(), arena.address
    with pytest.raises(ConfigError, match="this Arena is made already: make another"):
        arena.__init__(4096, hugepages="no")  # type: ignore[misc]
    assert (descriptors(), arena.address) == (before, address)
    arena.close()
    with pytest.raises(ConfigError, match="is made already"):
        arena.__init__(4096)  # type: ignore[misc]
