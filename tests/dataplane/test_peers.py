# SPDX-License-Identifier: BSD-3-Clause
"""What ports and servers with peers rely on: guarded memory, signals that never wait, quotas, closing in a thread."""

from __future__ import annotations

import ctypes
import errno
import os
import threading
import time
from pathlib import Path

import pytest

from dataplane.errors import ConfigError
from dataplane.files.closer import Closer
from dataplane.files.eventfd import is_eventfd, never_waits, signal_eventfd
from dataplane.memory.guard import PeerMemory, losses, seals_of
from dataplane.memory.hugepage import free_hugepages
from dataplane.memory.quota import Pool

PAGE, HUGE = 4096, 2 << 20
_GROW, _SHRINK = 0x4, 0x2


def memfd(size: int, flags: int = 0) -> int:
    fd = os.memfd_create("peer", flags)
    os.truncate(fd, size)
    return fd


def byte_at(address: int) -> int:
    return ctypes.c_uint8.from_address(address).value


# ---- memory -------------------------------------------------------------------------------------------------------


def test_a_file_that_is_cut_short_under_us() -> None:
    fd, before = memfd(4 * PAGE), losses()
    memory, other = PeerMemory(fd, PAGE, 2 * PAGE, True), PeerMemory(fd, 0, PAGE, False)
    os.pwrite(fd, b"\x55", PAGE)
    assert (memory.size, memory.mapped, byte_at(memory.address)) == (2 * PAGE, 2 * PAGE, 0x55)
    assert not memory.lost
    assert losses() == before
    os.truncate(fd, PAGE)
    assert byte_at(memory.address + PAGE) == 0
    assert memory.lost
    assert not other.lost
    assert losses() == before + 1
    assert byte_at(memory.address) == 0, "the whole mapping is empty memory of our own"
    for each in (memory, other):
        each.close()
        each.close()
        assert each.address == 0
    os.close(fd)


def test_slots_are_used_again() -> None:
    """More maps, one after the other, than there can be at a time."""
    fd = memfd(PAGE)
    kept = [PeerMemory(fd, 0, PAGE, True) for _ in range(3)]
    for _ in range(70_000):
        PeerMemory(fd, 0, PAGE, False).close()
    for each in kept:
        each.close()
    os.close(fd)


@pytest.mark.skipif(free_hugepages() < 2, reason="needs 2 free hugepages of 2 MiB")
def test_hugepages_are_mapped_whole() -> None:
    fd = memfd(2 * HUGE, 0x4)
    lines = len(Path("/proc/self/maps").read_text().splitlines())
    memory = PeerMemory(fd, HUGE + 3 * PAGE, PAGE, True)
    assert memory.mapped == HUGE
    assert memory.address % HUGE == 3 * PAGE
    os.truncate(fd, 0)
    assert byte_at(memory.address) == 0
    assert memory.lost
    memory.close()
    assert len(Path("/proc/self/maps").read_text().splitlines()) <= lines
    os.close(fd)


@pytest.mark.parametrize(
    ("offset", "size"),
    [(0, 0), (0, 3 * PAGE), (PAGE, 2 * PAGE), (12, PAGE), (1 << 63, 1 << 63), (2 * PAGE, 1)],
)
def test_memory_that_is_not_there(offset: int, size: int) -> None:
    fd = memfd(2 * PAGE)
    with pytest.raises(OSError) as caught:
        PeerMemory(fd, offset, size, True)
    assert caught.value.errno == errno.EINVAL
    os.close(fd)


def test_what_is_no_memory() -> None:
    reader, writer = os.pipe()
    null, program = os.open(os.devnull, os.O_RDWR), os.open(os.__file__, os.O_RDONLY)
    for fd in (reader, writer, null):
        assert seals_of(fd) == -1
        with pytest.raises(OSError, match="must be a memfd, or a file in tmpfs or hugetlbfs"):
            PeerMemory(fd, 0, PAGE, False)
    for fd in (reader, writer, null, program):
        os.close(fd)


def test_only_a_small_file_that_cannot_grow_goes_quickly() -> None:
    import fcntl

    sealed, plain = memfd(PAGE, os.MFD_ALLOW_SEALING), memfd(PAGE)
    fcntl.fcntl(sealed, 1033, _GROW | _SHRINK)
    assert PeerMemory(sealed, 0, PAGE, True).quick
    assert not PeerMemory(plain, 0, PAGE, True).quick
    os.close(sealed)
    os.close(plain)


# ---- eventfds -----------------------------------------------------------------------------------------------------


def test_a_signal_counts_one() -> None:
    assert never_waits()
    fd = os.eventfd(0)
    assert is_eventfd(fd)
    for _ in range(1000):
        signal_eventfd(fd)
    assert os.eventfd_read(fd) == 1000
    signal_eventfd(-1)
    os.close(fd)


def test_a_full_counter_makes_nobody_wait() -> None:
    fd = os.eventfd((1 << 32) - 1)
    os.eventfd_write(fd, (1 << 64) - 2 - ((1 << 32) - 1))
    done = threading.Event()

    def signal() -> None:
        for _ in range(1000):
            signal_eventfd(fd)
        done.set()

    thread = threading.Thread(target=signal)
    thread.start()
    assert done.wait(20)
    thread.join()
    assert os.eventfd_read(fd) >= (1 << 64) - 2
    os.close(fd)


def test_signals_from_many_threads_and_after_a_fork() -> None:
    fd = os.eventfd(0)
    threads = [threading.Thread(target=lambda: [signal_eventfd(fd) for _ in range(5000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert os.eventfd_read(fd) == 20_000
    child = os.fork()
    if child == 0:
        signal_eventfd(fd)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert os.eventfd_read(fd) == 1
    os.close(fd)


def test_a_pipe_is_no_eventfd_and_gets_nothing() -> None:
    reader, writer = os.pipe2(os.O_NONBLOCK)
    assert not is_eventfd(reader)
    signal_eventfd(writer)
    with pytest.raises(BlockingIOError):
        os.read(reader, 8)
    os.close(reader)
    os.close(writer)


# ---- quotas -------------------------------------------------------------------------------------------------------


def test_nobody_takes_what_another_is_sure_of() -> None:
    pool = Pool("things", total=100, members=4, most=80)
    greedy, *others = (pool.join() for _ in range(4))
    assert pool.sure == 12
    taken = 0
    while greedy.take(3):
        taken += 3
    assert taken == 63, "its own part and what is shared: 12 and 52"
    for each in others:
        assert each.take(12)
        assert not each.take(2)
    greedy.give(63)
    assert others[0].take(52)
    assert not others[0].take(18), "80 are the most of one"
    for each, used in zip((*others, greedy), (64, 12, 12, 0), strict=True):
        assert each.used == used
        each.give(used)
    assert pool.free == 52


def test_where_there_is_enough_each_gets_the_most() -> None:
    pool = Pool("things", total=100, members=4, most=20)
    for each in [pool.join() for _ in range(4)]:
        assert each.take(20)
        assert not each.take(1)


@pytest.mark.parametrize(("total", "members", "most"), [(3, 4, 1), (10, 0, 1), (10, 2, 0)])
def test_a_quota_of_nothing(total: int, members: int, most: int) -> None:
    with pytest.raises(ConfigError, match="each needs 1 or more"):
        Pool("things", total, members, most)


# ---- closing ------------------------------------------------------------------------------------------------------


def test_who_gives_back_does_not_wait(caplog: pytest.LogCaptureFixture) -> None:
    closer, go = Closer("peer"), threading.Event()
    quota = Pool("descriptors", 10, 1, 10).join()
    fd = os.eventfd(0)
    assert quota.take(2)
    began = time.monotonic()
    closer.do(lambda: go.wait(20))
    closer.close_all([fd, 1 << 20], quota)
    assert time.monotonic() < began + 10
    assert closer.left == 3
    assert not closer.wait(0.01)
    assert (quota.used, is_eventfd(fd)) == (2, True)
    go.set()
    assert closer.wait(20)
    assert (quota.used, is_eventfd(fd)) == (0, False)
    assert "peer: something could not be given back" in caplog.text
    end = time.monotonic() + 20
    while any(thread.name == "peer-closer" for thread in threading.enumerate()):
        assert time.monotonic() < end, "its thread goes when there is nothing to do"
        time.sleep(0.001)
