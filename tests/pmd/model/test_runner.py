# SPDX-License-Identifier: BSD-3-Clause
"""A card that runs in a thread of its own."""

import time
from types import SimpleNamespace

import pytest

from dataplane.errors import ConfigError
from dataplane.pmd.model.runner import Runner
from dataplane.pmd.model.shared import CardLock, Clock
from dataplane.pmd.model.wire.port import PortWire
from tests.pmd.model.rig import Port, frame


@pytest.fixture
def card():
    clock = Clock(virtual=False)
    ports = [Port("a", clock), Port("b", clock)]
    PortWire(ports[0].engine, ports[1].engine)
    ports[0].tx_queue(n=64), ports[1].rx_queue(n=64)
    return SimpleNamespace(lock=CardLock(), ports=ports)


def wait_for(condition, seconds=5.0):
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.001)
    return result


def test_traffic_flows_by_itself(card):
    a, b = card.ports
    runner = Runner(card)
    runner.start()
    try:
        assert runner.running
        for n in range(200):
            a.tx[0].send(frame(60 + n))
            (got,) = wait_for(b.rx[0].take)
            assert got.data == frame(60 + n)
    finally:
        runner.stop()
    assert runner.packets == 400 and runner.busy_steps <= 400 < runner.steps
    assert not runner.running


def test_the_lock_lets_others_in_and_keeps_the_card_out(card):
    a, b = card.ports
    runner = Runner(card)
    runner.start()
    try:
        with card.lock:
            before = runner.steps
            a.tx[0].send(frame(64))
            time.sleep(0.02)
            assert runner.steps == before and b.rx[0].take() == []
        wait_for(b.rx[0].take)
        worst = 0.0
        for _ in range(200):
            begin = time.perf_counter()
            with card.lock:
                pass
            worst = max(worst, time.perf_counter() - begin)
        assert worst < 1.0
    finally:
        runner.stop()


def test_a_doorbell_after_long_idleness(card):
    a, b = card.ports
    runner = Runner(card)
    runner.start()
    try:
        time.sleep(0.2)
        idle = runner.steps
        time.sleep(0.05)
        assert runner.steps - idle < 50_000, "an idle card sleeps"
        a.tx[0].send(frame(64))
        wait_for(b.rx[0].take, 1.0)
    finally:
        runner.stop()


def test_start_and_stop(card):
    runner = Runner(card)
    runner.stop()
    for _ in range(5):
        runner.start()
        with pytest.raises(ConfigError, match="runs already"):
            runner.start()
        runner.stop()


def test_impossible_runners(card):
    with pytest.raises(ConfigError, match="cannot run on CPU 4095"):
        Runner(card, cpu=4095)
    with pytest.raises(ConfigError, match="0 ports"):
        Runner(SimpleNamespace(lock=card.lock, ports=[]))
