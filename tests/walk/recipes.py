# SPDX-License-Identifier: BSD-3-Clause
"""What a walk begins with: things as a program would make them, which odd calls alone would seldom come to."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from values import FRAME, Slow

from dataplane.app import App, Source
from dataplane.apps.counter import Counter, Sink
from dataplane.apps.flows import Flows
from dataplane.apps.l2fwd import L2Fwd
from dataplane.apps.latency import Latency
from dataplane.apps.pktgen import PktGen
from dataplane.apps.tee import Tee
from dataplane.apps.trial import Trial
from dataplane.columns.field import Field
from dataplane.columns.headers import eth, ip4
from dataplane.graph.blocks import Collect, Frames
from dataplane.memory.hugepage import Arena
from dataplane.mempool import Mempool
from dataplane.pipeline import Pipeline
from dataplane.pmd import probe
from dataplane.pmd.model.card import Card
from dataplane.port import Port
from dataplane.queue import RxQueue, TxQueue
from dataplane.ring import Ring
from dataplane.stage import Stage


class Keeper(App):
    """Keeps bursts, packets and views of them beyond their time, here and in the walk's zoo, and takes its time."""

    edges = ("out", "other")
    optional = ("other",)
    drops = ("odd",)

    def __init__(self, walk: Any, how: int) -> None:
        self._walk, self._how = walk, how

    def process(self, burst: Any) -> Any:
        how = self._how
        # A run may push bursts for as long as the walk lasts: the other thread is not given more than it can take.
        if how % 2 and self._walk.second.given - self._walk.second.taken < 20:
            self._walk.keep(burst)
            self._walk.second.give(lambda: self._walk.attempt(lambda: late(burst, how)))
        packet = burst[0]
        if how % 3 == 0:
            self._walk.keep(packet)
            self._walk.keep(memoryview(packet))
        if how % 5 == 0:
            burst[ip4.ttl] = Slow(np.full(len(burst), 9))
            burst.drop(Slow(np.arange(len(burst)) % 2 == 0), "odd")
        if how % 7 == 0:
            packet.data = FRAME * 9
        time.sleep(0.001)
        return (None, 0, 1, 77, Slow(0), np.arange(len(burst)) % 2, np.ones(3))[how % 7]


def late(burst: Any, how: int) -> Any:
    """What another thread does with a burst: slow arguments, so that `process` returns meanwhile."""
    slow = Slow(np.ones(len(burst), np.uint64), 0.003)
    if how % 4 == 1:
        burst[eth.src] = slow
    elif how % 4 == 2:
        burst[eth.src, eth.dst] = slow
    else:
        burst.drop(slow, "odd")
    return burst


def port(walk: Any) -> Any:
    text = walk.rng.choice(
        (
            "null:",
            "null:size=1500,zero=on",
            "ring:walk",
            "ring:a>b",
            "ring:b>a",
            "model0",
            "model1",
            "model0",
            "null:",
        )
    )
    made = probe(text)
    if walk.rng.random() < 0.9:
        walk.keep(made.rx(0))
        walk.keep(made.tx(0))
        if walk.rng.random() < 0.7:
            made.start()
    return made


def chain(walk: Any) -> Any:
    rng = walk.rng
    apps = (
        lambda: L2Fwd(src="02:00:00:00:00:01"),
        Counter,
        lambda: Latency(),
        lambda: Tee(),
        lambda: Keeper(walk, rng.randrange(210)),
        lambda: Keeper(walk, rng.randrange(210)),
    )
    source = Frames([FRAME, FRAME * 30], repeat=rng.choice((1, 40, None)), burst=rng.choice((1, 32, 256)))
    if rng.random() < 0.3:
        source = PktGen(flows(walk), count=rng.choice((1, 100)))
    made = source >> rng.choice(apps)()
    return made >> rng.choice((Sink, Collect, lambda: walk.pick("Tx") or Sink()))()


def pipeline(walk: Any) -> Any:
    return Pipeline(chain(walk), lossless=walk.rng.random() < 0.2)


def run(walk: Any) -> Any:
    made = pipeline(walk)
    if walk.rng.random() < 0.5:
        return made.start()
    made.run(seconds=0.01)
    return made


def stepper(walk: Any) -> Any:
    """Steps in this thread while the other one does what it is given."""
    made = pipeline(walk)
    with made.stepper() as stepper:
        stepper.step(walk.rng.choice((1, 3, 20)))
        walk.keep(stepper)
    return made


def flows(walk: Any) -> Any:
    return Flows(Ether() / IP(dst="10.0.0.0/28") / UDP(sport=(1, 9)), size=walk.rng.choice((64, 128, None)))


def trial(walk: Any) -> Any:
    made = Trial(walk.rng.choice((lambda: L2Fwd(), lambda: Keeper(walk, walk.rng.randrange(210)), Counter))())
    made.push([FRAME] * walk.rng.choice((1, 40)))
    return made


def card(walk: Any) -> Any:
    made = Card(
        walk.rng.choice((1, 2)),
        manner=walk.rng.choice(("lenient", "strict")),
        index=walk.rng.choice((20, 21)),
    )
    for chip in made.ports:
        walk.keep(chip)
        walk.keep(chip.engine)
        walk.keep(chip.interrupts)
    return made


RECIPES: dict[str, Callable[[Any], Any]] = {
    "Mempool": lambda walk: Mempool(
        walk.rng.choice((1, 64, 600)), debug=walk.rng.random() < 0.3, hugepages="no"
    ),
    "Arena": lambda walk: Arena(walk.rng.choice((4096, 1 << 20)), hugepages="no"),
    "Ring": lambda walk: Ring(walk.rng.choice((2, 64, 1024)), single=walk.rng.random() < 0.5),
    "Field": lambda walk: walk.rng.choice(
        (eth.src, eth.dst, ip4.ttl, Field("wide", 22, 16), Field("far", 60000, 64), ip4.ihl)
    ),
    "Port": port,
    "Chain": chain,
    "Pipeline": pipeline,
    "Pipelines": lambda walk: (pipeline(walk), pipeline(walk)),
    "Run": run,
    "Stepper": stepper,
    "Flows": flows,
    "Trial": trial,
    "Card": card,
    "App": lambda walk: walk.rng.choice((L2Fwd, Counter, Sink, Latency, Tee, Collect))(),
    "Apps": lambda walk: [walk.pick("App"), walk.pick("App")],
    "Block": lambda walk: walk.pick("Arena").alloc(walk.rng.choice((64, 4096))),
    "Graph": lambda walk: pipeline(walk).check(),
    "Loop": lambda walk: stepper(walk) and walk.pick("Stepper")._loops[0],
}


def kinds_of(value: Any) -> Iterator[str]:
    """The kinds of argument that `value` can be used as."""
    for kind in type(value).__mro__:
        yield kind.__name__
    if isinstance(value, Port):
        yield "Port"
    if isinstance(value, (RxQueue, TxQueue)):
        yield "Queue"
        yield "Tx" if isinstance(value, TxQueue) else "Rx"
    if isinstance(value, (App, Source)):
        yield "App"
    if isinstance(value, (Stage,)):
        yield "Stage"
    if isinstance(value, list) and value and all(isinstance(each, App) for each in value):
        yield "Apps"
    if isinstance(value, tuple) and value and all(isinstance(each, Pipeline) for each in value):
        yield "Pipelines"
    if isinstance(value, Field):
        yield "Key"
