# SPDX-License-Identifier: BSD-3-Clause
"""A card as a whole: its options, its clock, its thread, and the cards of a process."""

import threading
import time

import pytest
from stopwatch import Stopwatch

from dataplane.errors import ConfigError
from dataplane.pmd.datasheet import FRTIMER, RAL, STATUS, SWSM
from dataplane.pmd.model import Card, Timing, get_card
from dataplane.pmd.model.card import drop_card, hold_card
from dataplane.pmd.model.shared import CardLock, RegisterFile


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ports": 3}, "3 ports: it has 1 or 2"),
        ({"manner": "rude"}, "one of lenient, strict"),
        ({"macs": ["02:00:00:00:00:01"]}, "1 MAC addresses for 2 ports"),
        ({"macs": ["02:00:00:00:00:01", "nonsense"]}, "no MAC address"),
    ],
)
def test_impossible_cards(options, message):
    with pytest.raises(ConfigError, match=message):
        Card(**options)


def test_addresses_come_from_the_caller_or_are_stable():
    with Card(macs=["02:00:00:00:00:01", "02:00:00:00:00:02"]) as card:
        assert card.mac(1) == bytes.fromhex("020000000002")
        assert card.ports[1].read(RAL[0].offset) == 0x0000_0002
    with Card(index=5) as one, Card(index=5) as same, Card(index=6) as other:
        assert one.mac(0) == same.mac(0) != other.mac(0)


def test_a_stepped_card_has_virtual_time():
    with Card() as card:
        began, real = card.now(), time.monotonic()
        card.sleep(100.0)
        assert time.monotonic() - real < 1.0
        assert card.now() - began == pytest.approx(100.0, abs=1e-6)
        before = card.now()
        card.step(10)
        assert card.now() - before == pytest.approx(10e-6)


def test_sleeping_no_time_is_no_error():
    with Card() as card:
        card.sleep(0)
        card.sleep(1e-12)


def test_a_threaded_card_has_real_time_and_ends_its_thread():
    threads = threading.active_count()
    with Card(threaded=True) as card:
        assert threading.active_count() == threads + 1
        before = card.ports[0].read(FRTIMER.offset)
        card.sleep(0.02)
        assert 20_000 <= card.ports[0].read(FRTIMER.offset) - before < 2_000_000
        card.start()
        assert threading.active_count() == threads + 1
    assert threading.active_count() == threads
    card.close()


def test_a_busy_thread_lets_register_accesses_in():
    with Card(threaded=True) as card:
        watch = Stopwatch()
        for _ in range(2000):
            card.ports[0].read(STATUS.offset)
        assert watch.own < 2.0


def test_accesses_from_several_threads_are_whole():
    """The set-on-read semaphore is given to one thread at a time."""
    with Card(threaded=True) as card:
        taken, inside, most = [], [], []

        def work(port):
            for _ in range(200):
                while card.ports[port].read(SWSM.offset) & 1:
                    time.sleep(0)
                inside.append(port)
                most.append(len(inside))
                inside.pop()
                card.ports[port].write(SWSM.offset, 0)
                taken.append(port)

        threads = [threading.Thread(target=work, args=(n % 2,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(taken) == 800 and max(most) == 1


def test_delays_are_parameters():
    with Card(timing=Timing(reset=5_000_000)) as card:
        chip = card.ports[0]
        chip.write(0, 1 << 26)
        card.sleep(0.004)
        assert chip.read(0) & 1 << 26
        card.sleep(0.002)
        assert not chip.read(0) & 1 << 26


def test_cards_of_the_process_are_shared_and_end_with_their_last_user():
    card = get_card(70, threaded=False)
    assert get_card(70) is card and card.index == 70
    assert card.ports[1].name == "model141"
    hold_card(card)
    hold_card(card)
    drop_card(card)
    assert not card.closed
    drop_card(card)
    assert card.closed
    other = get_card(70, threaded=False)
    assert other is not card
    hold_card(other)
    drop_card(other)


def test_a_card_is_not_made_twice_with_other_manners():
    card = get_card(71, threaded=False, manner="strict")
    hold_card(card)
    try:
        with pytest.raises(
            ConfigError, match=r"card 71 of the model is open with manner=strict: close its ports"
        ):
            get_card(71, manner="lenient")
    finally:
        drop_card(card)


def test_the_lock_may_be_taken_again_by_its_owner():
    lock = CardLock()
    with lock:
        with lock:
            assert lock.locked
        assert lock.locked
        got = []
        thread = threading.Thread(target=lambda: (lock.__enter__() and got.append(1)) or lock.__exit__())
        thread.start()
        thread.join(0.05)
        assert not got
    thread.join(5)
    assert got and not lock.locked


def test_register_memory_is_shared_by_its_descriptor():
    import mmap

    registers = RegisterFile()
    registers.poke(0x1234, 0xC0FFEE)
    with mmap.mmap(registers.fd, registers.size) as view:
        assert int.from_bytes(view[0x1234:0x1238], "little") == 0xC0FFEE
    for offset in (0x20000, 2):
        with pytest.raises(IndexError, match="registers are dwords below 0x20000"):
            registers.peek(offset)
