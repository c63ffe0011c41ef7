# SPDX-License-Identifier: BSD-3-Clause
"""Many queues: the cost of polling an idle one, of flows over several, and of those queues over several lcores.

On a machine with two CPUs, two lcores and the model's thread share them: that row holds for this machine only.
"""

import threading
import time

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from bench.judge import figure
from bench.loops import queues, solo
from dataplane import Pipeline, machine, pmd
from dataplane.apps import L2Fwd
from dataplane.clock import hz
from dataplane.engine.running import start

SLICES, LAPS = 60, 100
LEAST = 0.05  # cycles; on a busy machine a difference of two laps may be less, or none
PLAIN = solo.broadcast(60)  # no protocol: no hash, so it comes by queue 0


@pytest.fixture
def open_port():
    """open_port(n, tx=1, options): n Rx queues and `tx` Tx queues, and a plug that brings back what is sent."""
    ports = []

    def open_it(n, tx=1, options=",thread=off,rx_desc=128"):
        port = pmd.probe(f"model{len(ports)},wire=loop{options}")
        ports.append(port)
        port.rx(n - 1), port.tx(tx - 1)
        port.start()
        port.wait_link()
        port.promiscuous = True
        return port

    yield open_it
    for port in ports:
        port.close()


def added(port, n):
    """Cycles that each further queue adds to a lap over the first: laps over one and over n by turns, a better one of each.

    Other work of the machine is not the driver's cost, and would count n - 1 times less with many queues than with few.
    """
    engine, tx = port.function.chip.engine, port.tx(0)
    every = [port.rx(q) for q in range(n)]
    alone, together = (
        figure(laps)
        for laps in zip(
            *(
                [queues.lap_cycles(some, tx, engine, LAPS) for some in (every[:1], every)]
                for _ in range(SLICES)
            ),
            strict=True,
        )
    )
    return max((together - alone) / (n - 1), LEAST)


@pytest.mark.parametrize("n", [4, 16, 64])
def test_an_idle_queue(compare, lcore, yardstick, open_port, n):
    """32 packets a lap by one queue, and nothing by the others."""
    port = open_port(n)
    solo.fill(port.tx(0), port.mempool, 32, PLAIN)
    compare(
        f"82599 rx, {n} queues polled, 1 busy: an idle one adds",
        "cycles/poll",
        lambda: added(port, n),
        lambda: figure([yardstick() for _ in range(SLICES)]),
        "the yardstick",
        slices=1,
    )


def flows(port, n):
    """A frame for each of the first n queues, by the port's own key and table (Toeplitz over addresses and ports)."""
    key, found = int.from_bytes(port.rss.key, "big"), {}
    for sport in range(1000, 2000):
        data = bytes(
            Ether(dst=port.mac)
            / IP(src="10.0.0.1", dst="10.0.0.2", len=46)
            / UDP(sport=sport, len=26)
            / bytes(18)
        )
        value, hashed = int.from_bytes(data[26:38], "big"), 0
        for bit in range(96):
            if value >> 95 - bit & 1:
                hashed ^= key >> 320 - 32 - bit
        found.setdefault(port.rss.table[hashed & 127], data)
    return [found[q] for q in range(n)]


@pytest.mark.parametrize("n", [1, 2, 4, 16])
def test_flows_over_queues(compare, lcore, yardstick, open_port, n):
    """32 packets a lap by each queue: one lcore polls all of them. One queue beside the yardstick, several beside one."""

    def spread_over(many):
        port = open_port(max(many, 2), many)
        for q, data in enumerate(flows(port, many)):
            solo.fill(port.tx(q), port.mempool, 32, data)
        rx, tx = [port.rx(q) for q in range(many)], [port.tx(q) for q in range(many)]
        return lambda: queues.spread_cycles(rx, tx, port.function.chip.engine, LAPS)

    compare(
        f"82599 rx + tx, solo, {n} queue{'s' * (n > 1)}, each with bursts of 32",
        "cycles/packet",
        spread_over(n),
        spread_over(1) if n > 1 else yardstick,
        "one queue" if n > 1 else "the yardstick",
        slices=SLICES,
    )


def test_queues_over_lcores(measure, open_port):
    """Two queues, each with an lcore, against both on one lcore; the model runs in a thread of its own meanwhile."""
    cpus = two_cpus()
    port = open_port(2, 2, ",rx_desc=512")
    for q, data in enumerate(flows(port, 2)):
        solo.fill(port.tx(q), port.mempool, 128, data)

    def rate(lcores):
        lanes = [Pipeline(port.rx(q) >> L2Fwd() >> port.tx(q), name=f"queue {q}") for q in range(2)]
        with start(*lanes, lcores=lcores):
            before, began = port.xstats()["rx_good_packets"], time.monotonic()
            time.sleep(0.5)
            return (port.xstats()["rx_good_packets"] - before) / (time.monotonic() - began)

    measure(
        f"82599 l2fwd, 2 queues on 2 lcores, beside the model's thread, {len(machine.usable_cpus())} CPUs",
        "times 1 lcore",
        lambda: rate(cpus) / rate(cpus[1:]),
    )


def test_lcores_do_not_slow_each_other(compare):
    """The CPU time of a packet with two lcores on queues of one port, over that with each of them alone."""
    cpus = two_cpus()

    class Lane(threading.Thread):
        """An lcore with a queue; `meet`: when all of them are about to begin, and when all are done."""

        def __init__(self, q, meet):
            super().__init__()
            self.q, self.meet, self.cost = q, meet, 0.0

        def run(self):
            machine.enter(cpus[self.q])
            try:
                with Pipeline(port.rx(self.q) >> L2Fwd() >> port.tx(self.q)).stepper() as stepper:
                    stepper.step(1000)
                    self.meet.wait(10)
                    packets, began, spent = 0, time.monotonic(), time.thread_time()
                    while time.monotonic() < began + 0.05:
                        packets += stepper.step(20_000)
                    self.cost = (time.thread_time() - spent) / packets
                    self.meet.wait(10)
            finally:
                machine.leave()

    def costs(*numbers):
        meet = threading.Barrier(len(numbers))
        lanes = [Lane(q, meet) for q in numbers]
        for lane in lanes:
            lane.start()
        for lane in lanes:
            lane.join()
        return [lane.cost for lane in lanes]

    def cycles_each(*every):
        return sum(sum(found) for found in every) / 2 * hz()

    with pmd.probe("null:") as port:
        compare(
            "null l2fwd, 2 lcores at a time, a queue each",
            "cycles/packet",
            lambda: cycles_each(costs(0, 1)),
            lambda: cycles_each(costs(0), costs(1)),
            "one at a time",
            slices=8,
        )


def two_cpus():
    cpus = machine.usable_cpus()
    if len(cpus) < 2:
        pytest.skip("needs two CPUs")
    return cpus[:2]
