# SPDX-License-Identifier: BSD-3-Clause
"""A card that rests, and clients whose tails move in memory: who wakes it, and who does not."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from stopwatch import Stopwatch, once_below

from dataplane.errors import ConfigError
from dataplane.files.eventfd import signal_eventfd
from dataplane.pmd.datasheet import EICR, EIMS, LINKS
from dataplane.pmd.datasheet.registers.tx import TDT
from dataplane.pmd.model.card import Card
from dataplane.pmd.model.datapath.doorbell import Doorbells
from dataplane.pmd.model.runner import Runner
from dataplane.pmd.model.shared import CardLock, Clock
from dataplane.pmd.model.wire.port import PortWire
from tests.pmd.model.rig import Port, frame

# A machine whose host gives its time to others gets `stopwatch.PATIENCE`, more than once.
pytestmark = pytest.mark.timeout(400)

PAGE = 0x1000
FULL = (1 << 64) - 2  # of an eventfd


class Client:
    """A client of port `port` that sends by a tail in its own page. wakes: it signals when the card rests."""

    def __init__(self, runner: Runner, port: Port, wakes: bool = True) -> None:
        self.runner, self.port, self.bells = runner, port, Doorbells(False, wakes)
        if wakes:
            runner.listen(self.bells.eventfd, True)
        port.engine.attach(-1, self.bells)
        runner.nudge()

    @property
    def rests(self) -> bool:
        """The value of the word."""
        return bool(word_of(self.bells))

    def send(self, data: bytes, signal: bool = True) -> None:
        queue = self.port.tx[0]
        queue.send(data, ring_bell=False)
        self.bells.write(TDT[0].offset, queue.tail.to_bytes(4, "little"))
        if signal and self.rests:
            signal_eventfd(self.bells.eventfd)


def word_of(bells: Doorbells) -> int:
    return int.from_bytes(bells.read(bells.size - PAGE, 4), "little")


@pytest.fixture
def ports() -> list[Port]:
    """Two with a wire; the first can send, the second receive."""
    clock = Clock(virtual=False)
    a, b = Port("a", clock), Port("b", clock)
    PortWire(a.engine, b.engine)
    a.tx_queue(n=64), b.rx_queue(n=64)
    return [a, b]


@pytest.fixture
def runner(ports: list[Port]) -> Iterator[Runner]:
    """A runner of these ports. The code that writes registers nudges it."""
    made = Runner(SimpleNamespace(lock=CardLock(), ports=ports))
    made.told = True
    made.start()
    yield made
    made.stop()


def wait_for(condition: Callable[[], object], seconds: float = 60.0) -> float:
    """Seconds of ours that it took."""
    watch = Stopwatch()
    while not condition():
        assert watch.wall < seconds, "it never happened"
        time.sleep(1e-4)
    return watch.own


def times(client: Client, receiver: Port, tries: int, signal: bool = True) -> list[float]:
    """How long a frame took each time, to a card that had said it rests and has gone on to rest for long."""
    took = []
    for n in range(tries):
        wait_for(lambda: client.rests)
        time.sleep(0.01)
        client.send(frame(60 + n), signal)
        took.append(wait_for(receiver.rx[0].take))
    return took


def steps(runner: Runner, seconds: float) -> tuple[int, float]:
    """In so many seconds, and how many those were without its waiting for a CPU."""
    before, watch = runner.steps, Stopwatch()
    time.sleep(seconds)
    return runner.steps - before, watch.own


def at_rest(runner: Runner) -> bool:
    """Whether it looks seldom, in a tenth of a second for at least half of which it was not kept from a CPU."""
    count, seconds = steps(runner, 0.1)
    return count < 100 and seconds > 0.05


def test_a_client_wakes_a_card_that_rests(runner: Runner, ports: list[Port]) -> None:
    client = Client(runner, ports[0])
    once_below(0.005, lambda: statistics.median(times(client, ports[1], 9)))  # a rest of 100 ms shows


def test_the_word_is_taken_back_when_the_card_works(runner: Runner, ports: list[Port]) -> None:
    client = Client(runner, ports[0])
    wait_for(lambda: client.rests)
    client.send(frame(60))
    wait_for(lambda: not client.rests)
    wait_for(ports[1].rx[0].take)
    wait_for(lambda: client.rests)


def test_a_client_that_does_not_signal_is_seen_when_the_rest_is_over(
    runner: Runner, ports: list[Port]
) -> None:
    """It has lost the word, or says nothing on purpose: that is its own loss, and no longer than a rest."""
    client = Client(runner, ports[0])
    once_below(0.2, lambda: statistics.median(times(client, ports[1], 7, signal=False)))


def test_clients_that_do_not_know_the_word_keep_rests_short(runner: Runner, ports: list[Port]) -> None:
    Client(runner, ports[0], wakes=False)
    time.sleep(0.5)
    count, seconds = steps(runner, 1)
    assert count > 100 * seconds, "540 of 1.85 ms, 10 of 100 ms"


def test_clients_that_wake_it_let_it_rest_for_long(runner: Runner, ports: list[Port]) -> None:
    client = Client(runner, ports[0])
    wait_for(lambda: client.rests)
    once_below(40, lambda: steps(runner, 1)[0])  # 10 of 100 ms


def test_a_register_that_changes_by_itself_ends_a_rest() -> None:
    """Its interrupt comes when it is due, though no register is written meanwhile."""
    eventfd = os.eventfd(0)
    with Card(threaded=True) as card:
        card.hear(True)
        chip = card.ports[0]
        chip.interrupts.connect(0, eventfd)
        chip.write(EIMS.offset, EIMS.pack(LSC=1))

        def late() -> float:
            """The median of seven."""
            found = []
            for n in range(7):
                delay = 0.4 + 0.013 * n  # longer than the sleeps that follow a call
                watch = Stopwatch()
                with card.lock:
                    chip.after(round(delay * 1e9), LINKS.offset, cause=EICR.LSC.mask)
                card.nudge()
                os.eventfd_read(eventfd)
                assert watch.wall > delay, "too early"
                found.append(watch.own - delay)
                chip.read(EICR.offset)
            return statistics.median(found)

        once_below(0.005, late)  # a rest of 100 ms shows
    os.close(eventfd)


def test_a_client_that_comes_while_the_card_rests_is_told_at_once(runner: Runner, ports: list[Port]) -> None:
    first = Client(runner, ports[0])
    wait_for(lambda: first.rests)
    second = Doorbells(True, True)
    ports[1].engine.attach(0, second)
    assert word_of(second) or not first.rests
    ports[1].engine.attach(0, None)


@pytest.mark.parametrize("content", [0, FULL])
def test_an_eventfd_that_its_client_empties_or_fills_stops_nobody(
    runner: Runner, ports: list[Port], content: int
) -> None:
    """It may make it one that blocks, too. Its neighbour is served, and the card stops when it is asked to."""
    hostile = Doorbells(False, True)
    runner.listen(hostile.eventfd, True)
    ports[1].engine.attach(-1, hostile)
    client = Client(runner, ports[0])
    for n in range(5):
        wait_for(lambda: client.rests)
        signal_eventfd(hostile.eventfd)
        os.eventfd_read(hostile.eventfd)
        if content:
            os.eventfd_write(hostile.eventfd, content)
        client.send(frame(60 + n))
        wait_for(ports[1].rx[0].take)
    os.set_blocking(hostile.eventfd, True)
    signal_eventfd(hostile.eventfd)
    began = time.perf_counter()
    runner.stop()
    assert time.perf_counter() < began + 5
    ports[1].engine.attach(-1, None)
    runner.listen(hostile.eventfd, False)


def test_whoever_is_gone_wakes_nobody(runner: Runner, ports: list[Port]) -> None:
    """It may have kept the eventfd."""
    client = Client(runner, ports[0])
    wait_for(
        lambda: client.rests
    )  # what a start has it do before its first rest takes a busy machine seconds
    kept = os.dup(client.bells.eventfd)
    ports[0].engine.attach(-1, None)
    runner.listen(client.bells.eventfd, False)
    runner.nudge()
    wait_for(lambda: at_rest(runner) and at_rest(runner))
    before = runner.steps
    for _ in range(20):
        signal_eventfd(kept)
        time.sleep(0.03)
    assert runner.steps < before + 500, "each wake is followed by 600 looks"
    os.close(kept)


def test_only_an_eventfd_is_listened_to(runner: Runner) -> None:
    with Path("/dev/null").open() as other, pytest.raises(ConfigError, match="is no eventfd"):
        runner.listen(other.fileno(), True)
