# SPDX-License-Identifier: BSD-3-Clause
"""A reset keeps every other thread of the driver out (datasheet 4.6.3.2): who reads meanwhile waits, on a strict card."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from dataplane.errors import DataplaneError, DeviceTimeout
from dataplane.pmd.datasheet import CTRL, RXDCTL
from dataplane.pmd.function import Bar
from dataplane.pmd.ixgbe.device_bar import DeviceBar
from dataplane.pmd.ixgbe.reset import DeviceReset
from tests.pmd.ixgbe.fleet import Fleet, fleet

ROUNDS = 200


@pytest.fixture
def made() -> Iterator[Fleet]:
    with fleet(2) as found:
        found.open(0, 1)
        yield found


@contextmanager
def asking(*questions: Callable[[], object]) -> Iterator[list[int]]:
    """A thread for each question, which asks it all the time. Yields how often; raises what one of them raised."""
    end = threading.Event()
    asked = [0] * len(questions)
    wrong: list[BaseException] = []

    def ask(n: int) -> None:
        try:
            while not end.is_set():
                questions[n]()
                asked[n] += 1
                end.wait(1e-4)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(len(questions))]
    for thread in threads:
        thread.start()
    try:
        yield asked
    finally:
        end.set()
        for thread in threads:
            thread.join()
    if wrong:
        raise wrong[0]


@pytest.mark.parametrize("rounds", [ROUNDS // 10, pytest.param(ROUNDS, marks=pytest.mark.slow)])
def test_readers_during_resets_of_the_pf(made: Fleet, rounds: int) -> None:
    pf = made.pf
    with asking(
        pf.xstats,
        lambda: pf.link,
        pf.vfs.show,
        lambda: pf.vfs.explain(0),
        lambda: pf.vfs.set(1, query_rss=True),
    ) as asked:
        for n in range(rounds):
            pf.stop()
            pf.start()
            pf.vfs.set(1, query_rss=bool(n % 2))
    assert all(asked), "each of them was answered"
    assert min(asked[:3]) > rounds / 2, "and they need not wait for long"


def test_readers_during_resets_of_a_vf(made: Fleet) -> None:
    """The PF reads the VF meanwhile. Reads by another thread take no message from the thread that talks with the PF."""
    vf, pf = made.vfs[0], made.pf
    counts: list[int] = [0]

    def grows() -> None:
        counts.append(vf.xstats()["rx_good_packets"])
        assert counts[-1] >= counts[-2]

    before = vf.recoveries
    with asking(grows, lambda: vf.link, pf.vfs.show, lambda: vf.mac) as asked:
        for _ in range(ROUNDS // 4):
            with suppress(DataplaneError):  # the PF may be busy with a question: the VF tries again
                vf.recover()
    assert vf.recoveries > before + ROUNDS // 8
    assert all(asked)


class Slow(Bar):
    """A register file that tells who came while a reset was under way."""

    name = "slow0"

    def __init__(self) -> None:
        self.resetting = 0
        self.intruders: list[int] = []

    def read32(self, offset: int) -> int:
        if self.resetting and self.resetting != threading.get_ident():
            self.intruders.append(offset)
        return 0

    def write32(self, offset: int, value: int) -> None:
        self.read32(offset)


def test_an_access_waits_for_the_end_of_a_reset() -> None:
    """Whichever register, read or written; the thread that resets goes on."""
    raw = Slow()
    bar = DeviceBar(raw)
    with asking(lambda: bar.read(CTRL), lambda: bar.set(CTRL.RST), lambda: bar.write32(0, 1)) as asked:
        for _ in range(ROUNDS):
            with bar.exclusively():
                raw.resetting = threading.get_ident()
                bar.set(CTRL.RST)
                bar.sleep(1e-4)
                raw.resetting = 0
            bar.sleep(1e-4)
    assert raw.intruders == []
    assert all(asked)


class Stubborn(Bar):
    """A register file with one Rx queue on, which a VF enables again `times` times after it was cleared."""

    name = "stubborn0"

    def __init__(self, times: int) -> None:
        self.on, self.times = True, times

    def read32(self, offset: int) -> int:
        return RXDCTL[4].ENABLE.mask if self.on and offset == RXDCTL[4].offset else 0

    def write32(self, offset: int, value: int) -> None:
        if offset == RXDCTL[4].offset:
            self.on = self.times > 0
            self.times -= 1


def test_a_vf_that_enables_its_queue_while_the_pf_stops_it() -> None:
    """It is cleared once more. A queue that does not stop is an error, as before."""
    raw = Stubborn(1)
    DeviceReset(raw).stop_queues()
    assert not raw.on
    with pytest.raises(DeviceTimeout):
        DeviceReset(Stubborn(1000)).stop_queues()
