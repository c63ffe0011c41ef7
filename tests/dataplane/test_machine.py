# SPDX-License-Identifier: BSD-3-Clause
"""Lcore numbers: taken, given back, pinned."""

import os
import threading

import pytest

from dataplane import machine
from dataplane.errors import ConfigError


def on_a_thread(work):
    result = []

    def run():
        try:
            result.append(work())
        except Exception as error:
            result.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return result[0]


def test_a_thread_is_no_lcore_until_it_enters():
    def work():
        seen = [machine.current_lcore()]
        seen.append(machine.enter() == machine.current_lcore())
        machine.leave()
        seen.append(machine.current_lcore())
        return seen

    assert on_a_thread(work) == [None, True, None]


def test_it_is_pinned_to_the_cpu_that_was_asked_for():
    cpu = machine.usable_cpus()[-1]

    def work():
        machine.enter(cpu)
        try:
            return os.sched_getaffinity(0)
        finally:
            machine.leave()

    assert on_a_thread(work) == {cpu}
    assert machine.usable_cpus() == sorted(os.sched_getaffinity(os.getpid()))


@pytest.mark.parametrize("cpu", [-1, 4095, 1 << 40])
def test_a_cpu_that_is_not_there(cpu):
    error = on_a_thread(lambda: machine.enter(cpu))
    assert isinstance(error, ConfigError)
    assert "usable are" in str(error)


def test_entering_twice_is_refused():
    def work():
        machine.enter()
        try:
            machine.enter()
        finally:
            machine.leave()

    assert "already" in str(on_a_thread(work))


def test_numbers_run_out_and_come_back():
    stop, entered, numbers, refused = threading.Event(), threading.Barrier(34), [], []

    def work():
        try:
            numbers.append(machine.enter())
        except ConfigError as error:
            refused.append(str(error))
        entered.wait(10)
        stop.wait(10)
        machine.leave()

    threads = [threading.Thread(target=work) for _ in range(33)]
    for thread in threads:
        thread.start()
    entered.wait(10)
    stop.set()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(32))
    assert len(refused) == 1
    assert "all 32 lcores" in refused[0]
    assert on_a_thread(lambda: (machine.enter(), machine.leave())[0]) in range(32)
