# SPDX-License-Identifier: BSD-3-Clause
"""Ports that several runs use: the first run starts them, the last one stops them, also when runs begin at the same time."""

from __future__ import annotations

import threading
import time

import pytest

from dataplane import Frames, Pipeline
from dataplane.apps.counter import Sink
from dataplane.engine.lease import start_ports, stop_ports
from dataplane.errors import PortError
from dataplane.pmd.virtual.null import NullPort
from dataplane.queue import halt


class Slow(NullPort):
    """Takes its time to start and to stop, and counts how often it did."""

    def __init__(self, fails=0):
        super().__init__("slow:")
        self.starts = self.stops = 0
        self.fails = fails

    def _start(self):
        time.sleep(0.02)
        self.starts += 1
        if self.starts <= self.fails:
            raise PortError("not yet")
        super()._start()

    def _stop(self):
        time.sleep(0.02)
        self.stops += 1
        super()._stop()


def at_once(functions):
    barrier, errors = threading.Barrier(len(functions)), []

    def call(function):
        barrier.wait()
        try:
            function()
        except PortError as error:
            errors.append(error)

    threads = [threading.Thread(target=call, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return errors


@pytest.mark.parametrize("runs", [2, 5])
def test_runs_that_start_and_end_at_the_same_moment(runs):
    port = Slow()
    pipelines = [Pipeline(Frames([bytes(64)], repeat=None) >> port.tx(n)) for n in range(runs)]
    assert not at_once([pipeline.start for pipeline in pipelines])
    assert port.started and port.starts == 1
    assert not at_once([pipeline.stop for pipeline in pipelines])
    assert not port.started and (port.starts, port.stops) == (1, 1)


def test_a_start_while_the_last_run_ends():
    port = Slow()
    for _ in range(5):
        start_ports([port])
        at_once([lambda: stop_ports([port]), lambda: start_ports([port])])
        assert port.started  # by the second, whether it came before the stop or after it
        assert not stop_ports([port]) and not port.started
    assert port.starts == port.stops


def test_a_port_that_fails_is_tried_again_by_the_next():
    port = Slow(fails=1)
    errors = at_once([lambda: start_ports([port])] * 2)
    assert [str(error) for error in errors] == ["not yet"]
    assert port.started and port.starts == 2
    assert not stop_ports([port]) and not port.started


def test_a_port_that_somebody_else_started_is_left_running():
    port = Slow()
    port.start()
    assert start_ports([port]) == [] and port.started
    port.stop()


def test_threads_that_start_and_stop_a_port_wait_for_each_other():
    port = Slow()
    assert not at_once([port.start] * 3)
    assert port.started and port.starts == 1
    assert not at_once([port.stop] * 3)
    assert not port.started and port.stops == 1
    assert not at_once([port.close] * 3)
    assert len(at_once([port.start] * 3)) == 3  # "is closed"


def test_a_port_stays_started_while_a_queue_of_it_is_polled():
    port = Slow()
    with Pipeline(Frames([bytes(64)], repeat=None) >> port.tx(0), port.rx(0) >> Sink()).start():
        while not (polled := [queue for queue in (port.rx(0), port.tx(0)) if queue.polled_by]):
            time.sleep(0.001)
        assert halt(port, (port.rx(0), port.tx(0))) is polled[0] and port.started
    assert halt(port, (port.rx(0), port.tx(0))) is None and not port.started
