# SPDX-License-Identifier: BSD-3-Clause
"""Calls that once crashed the interpreter now raise; each runs in a process of its own. tests/walk looks for others."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

from dataplane.app import App
from dataplane.apps.counter import Counter, Sink
from dataplane.apps.trial import Trial
from dataplane.byhand import receive, send
from dataplane.columns.field import Field
from dataplane.columns.headers import eth
from dataplane.errors import (
    AppError,
    BurstError,
    ConfigError,
    DataplaneError,
    GraphError,
    MemoryExhausted,
    MempoolError,
    PortError,
)
from dataplane.graph.blocks import Frames
from dataplane.memory import hugepage, memory_room
from dataplane.memory.hugepage import Arena
from dataplane.mempool import Mempool
from dataplane.pipeline import Pipeline
from dataplane.pmd import probe
from dataplane.ring import Ring
from dataplane.stage import Chain

BEGIN = """
import gc, sys, threading, time
import numpy as np
from dataplane.app import App
from dataplane.apps.counter import Sink
from dataplane.apps.pktgen import PktGen
from dataplane.apps.reflect import Reflect
from dataplane.apps.tee import Tee
from dataplane.apps.trial import Trial
from dataplane.graph.blocks import Frames
from dataplane.columns.burst import Burst, Packet
from dataplane.byhand import receive, send
from dataplane.errors import *
from dataplane.columns.headers import eth
from dataplane.memory.hugepage import Arena
from dataplane.engine.lcore import Loop
from dataplane.engine.plan import Plan
from dataplane.graph.graph import JoinedEdge
from dataplane.mempool import Mempool
from dataplane.columns.native import Native
from dataplane.pipeline import Pipeline
from dataplane.pmd import probe
from dataplane.pmd.model.registers.controller import Controller
from dataplane.pmd.model.interrupts.pf import Interrupts
from dataplane.pmd.model.shared import Clock, RegisterFile
from dataplane.pmd.virtual.offload import finished, segments
from dataplane.ring import Ring

def raises(call, kind=Exception):
    try:
        call()
    except kind as error:
        return error
    sys.exit("nothing was raised")

frame = bytes(range(60))
"""


def in_a_child(program: str) -> str:
    """Run it; the test fails with a signal's name, or with what it said."""
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", BEGIN + program],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    name = signal.Signals(-done.returncode).name if done.returncode < 0 else f"status {done.returncode}"
    assert done.returncode == 0, f"{name}: {done.stderr[-2000:]}"
    return done.stdout


@pytest.mark.parametrize(
    "program",
    [
        pytest.param(
            "class Keep(App):\n"
            "    def process(self, burst): kept.extend((memoryview(burst[0]), np.frombuffer(burst[0], np.uint8)))\n"
            "kept = []\n"
            "raises(Pipeline(Frames([frame * 9]) >> Keep() >> Sink()).run)\n"
            "gc.collect()\n"
            "assert len(bytes(kept[0])) == 540 and kept[1].sum() >= 0",
            id="a view outlives its pool",
        ),
        pytest.param("raises(lambda: receive(probe('null:').rx(0)), PortError)", id="receive without start"),
        pytest.param("raises(lambda: receive(None))\nraises(lambda: send(None, [frame]))", id="queues that are None"),
        pytest.param(
            "raises(lambda: len(Packet()))\nraises(lambda: memoryview(Packet()))\nrepr(Packet())", id="a packet of nothing"
        ),
        pytest.param(
            "for kind in (Native, Reflect, Tee, PktGen, Sink, Frames):\n"
            "    half = kind.__new__(kind)\n"
            "    try: Pipeline(Frames([frame]) >> half).run(seconds=0.02)\n"
            "    except DataplaneError: pass\n"
            "    try: Loop(Plan([half], [], [])).run_laps(3)\n"
            "    except DataplaneError: pass",
            id="apps without __init__",
        ),
        pytest.param(
            "raises(lambda: Controller.__new__(Controller))\nraises(lambda: Loop.__new__(Loop).run_laps())", id="internals"
        ),
        pytest.param("raises(lambda: Native(4096), ConfigError)", id="an address that is no code"),
        pytest.param(
            "source, app, sink = Frames([frame]), Tee(), Sink()\n"
            "plan = Plan([source, app, sink], [JoinedEdge(source, 0, 'out', app), JoinedEdge(app, 0, 'out', sink)], [])\n"
            "plan.bind()\ndel plan, sink\ngc.collect()\nother = [b'\\xff' * (Sink.__basicsize__ - 17) for _ in range(99)]\n"
            "Loop(Plan([source, app], [], [])).run_laps(3)",
            id="an edge to an app that is gone",
        ),
        pytest.param(
            "app = Tee()\n"
            "with Pipeline(Frames([frame], repeat=None) >> app >> Sink()).stepper() as stepper:\n"
            "    error = raises(lambda: Trial(app), ConfigError)\n"
            "    assert 'which is running' in str(error), error\n"
            "    stepper.step(9)\n"
            "trial = Trial(app)\n"
            "with Pipeline(Frames([frame], repeat=None) >> app >> Sink()).stepper() as stepper:\n"
            "    for call in (trial.close, lambda: trial.push([frame]), trial.poll, trial.idle):\n"
            "        raises(call)\n"
            "    del trial\n    gc.collect()\n    stepper.step(9)",
            id="the trial of an app that runs",
        ),
        pytest.param("r = Ring(8); r.put([1, 4096, 1 << 40]); raises(r.drain, MempoolError)", id="a ring of numbers"),
        pytest.param("raises(lambda: Mempool(8).give([4096]), MempoolError)", id="give what is no mbuf"),
        pytest.param(
            "pool = Mempool(8)\nring = Ring(8)\nring.put(pool.take(3))\ndel pool\ngc.collect()\nassert ring.drain() == 3",
            id="a pool that only a ring knows",
        ),
        pytest.param(
            "source = Frames([frame], repeat=None); source.burst = 65535; Pipeline(source >> Sink()).check\n"
            "Loop(Plan([source], [], [])).run_laps(3)",
            id="a burst beyond the arrays",
        ),
        pytest.param(
            "raises(lambda: Burst('app', 300, ()))\nraises(lambda: Burst('app', 1, ('d',) * 300))",
            id="a burst for 300 edges",
        ),
        pytest.param(
            "chips = Interrupts(RegisterFile(), Clock())\n"
            "raises(lambda: chips.vfs.mailbox(1 << 20))\nraises(lambda: chips.vfs.count(63, 9))\n"
            "raises(lambda: chips.raise_queue('rx', -5))",
            id="indices beyond the model's tables",
        ),
        pytest.param(
            "import os\nraises(lambda: Interrupts())\ngc.collect(); os.fstat(0)",
            id="what was never made closes descriptor 0",
        ),
        pytest.param(
            "raises(lambda: finished(frame, 0xFFFFFFFF, 1))\nsegments(frame, 1, 10, 0xFFFFFFF8)\n"
            "raises(lambda: segments(frame, 1, 9, 34, b'x'))",
            id="offsets that wrap",
        ),
    ],
)  # fmt: skip
def test_it_raises(program: str) -> None:
    in_a_child(program)


class Slow:
    """A mask, or values, that take their time."""

    def __init__(self, late: threading.Event, value: object) -> None:
        self.late, self.value = late, value

    def __array__(self, dtype: object = None, copy: object = None) -> object:
        self.late.wait(10)
        return np.asarray(self.value)


@pytest.mark.parametrize("verb", ["drop", "set", "set two", "set rows", "set one"])
def test_a_slow_argument_that_is_ready_after_process_returned(verb: str) -> None:
    """It raises in its own thread, and neither the burst's memory nor a packet is written to."""
    over, errors = threading.Event(), []

    class Sharing(App):
        drops = ("odd",)

        def process(self, burst):
            threads.append(threading.Thread(target=late, args=(burst,)))
            threads[0].start()

    def late(burst):
        slow = Slow(over, [1] * 4)
        try:
            if verb == "drop":
                burst.drop(slow, "odd")
            elif verb == "set":
                burst[eth.type] = slow
            elif verb == "set two":
                burst[eth.src, eth.dst] = slow, slow
            elif verb == "set rows":
                burst[Field("row", 0, 16)] = Slow(over, np.ones((4, 16), np.uint8))
            else:
                burst[0].data = Late(over)
        except BurstError as error:
            errors.append(str(error))

    threads: list[threading.Thread] = []
    with Trial(Sharing()) as trial:
        trial.push([bytes(60)] * 4)
        over.set()
        threads[0].join(10)
        assert trial.out["out"] == [bytes(60)] * 4
    assert len(errors) == 1 and "this burst is over" in errors[0]


class Late:
    """Bytes that take their time."""

    def __init__(self, late: threading.Event) -> None:
        self.late = late

    def __bytes__(self) -> bytes:
        self.late.wait(10)
        return b"\xff" * 60


def test_one_poller_for_each_queue() -> None:
    """By hand beside a run, a run beside a run by hand, and one within the other: refused, with the name of who has it."""
    port = probe("null:")
    receiver, sender = port.rx(0), port.tx(0)
    run = Pipeline(receiver >> Counter() >> sender).start()
    try:
        while receiver.polled_by is None:
            pass
        with pytest.raises(GraphError, match="polled by thread lcore-any"):
            receive(receiver)
        with pytest.raises(GraphError, match="polled by thread lcore-any"):
            send(sender, [bytes(60)])
        with pytest.raises(PortError, match="polled by thread lcore-any"):
            port.close()
        with pytest.raises(PortError, match="polled by thread lcore-any"):
            receiver.attach(None)
    finally:
        run.stop()
    assert receiver.polled_by is None and not port.started
    port.close()


def test_a_pipeline_does_not_step_within_itself() -> None:
    errors = []

    class Within(App):
        def process(self, burst):
            try:
                stepper.step(1)
            except GraphError as error:
                errors.append(str(error))

    with Pipeline(Frames([bytes(60)]) >> Within() >> Sink()).stepper() as stepper:
        stepper.step(1)
    assert len(errors) == 1 and "this thread" in errors[0]


def test_what_is_in_use_is_not_closed_and_what_is_closed_raises() -> None:
    arena = Arena(1 << 20, hugepages="no")
    pool = Mempool(64, arena=arena)
    with pytest.raises(ConfigError, match="cannot be closed: <Mempool"):
        arena.close()
    pool.give(pool.take(3))
    del pool
    arena.close()
    arena.close()
    with pytest.raises(ConfigError, match="is closed"):
        Mempool(64, arena=arena)
    port = probe("null:")
    port.start()
    port.close()
    with pytest.raises(PortError, match="is closed"):
        receive(port.rx(0)) if port._rx else receive(port._make_rx(0))


def test_mbufs_are_given_once_and_to_their_own_pool() -> None:
    pool, other = Mempool(8, name="pool"), Mempool(8, name="other")
    (address,) = pool.take(1)
    with pytest.raises(MempoolError, match="is of <Mempool pool"):
        other.give([address])
    with pytest.raises(MempoolError, match="free already"):
        pool.give([address, address])
    assert pool.in_use == 1, "none of them was freed"
    pool.give([address])
    with pytest.raises(MempoolError, match="free already"):
        pool.give([address])
    with pytest.raises(MempoolError, match="no mbuf begins at"):
        pool.give([address + 8])
    with pytest.raises(MemoryExhausted):
        pool.take((1 << 32) - 1)


def test_names_beyond_the_counters_are_refused_and_not_counted() -> None:
    class Many(App):
        edges = tuple(f"edge{n}" for n in range(300))
        drops = tuple(f"drop{n}" for n in range(300))

        def process(self, burst):
            return 299

    with pytest.raises(GraphError, match="at most 16"):
        Many().edge_counts  # noqa: B018
    with pytest.raises(GraphError, match="at most 14"):
        Many().drop_counts  # noqa: B018
    with pytest.raises(ConfigError, match="at most 16"):
        Trial(Many())
    with pytest.raises(GraphError, match="at most 16"):
        Pipeline(Frames([bytes(60)]) >> Many() >> Sink()).check()

    class Growing(App):
        def process(self, burst):
            type(self).edges = Many.edges
            return 299

    with pytest.raises((AppError, DataplaneError)):
        Pipeline(Frames([bytes(60)] * 2, burst=1) >> Growing() >> Sink()).run()


def test_a_chain_of_nothing_and_one_that_is_asked_for_its_items() -> None:
    assert repr(Chain((), ())) == "<Chain of nothing, last ()>"
    with pytest.raises(GraphError, match="no first stage"):
        Pipeline(Chain((), ())).check()
    with pytest.raises(TypeError, match="not iterable"):
        list(Counter() >> Sink())
    with pytest.raises(GraphError, match="named by a string"):
        (Counter() >> Sink())[0]


def test_the_machine_is_asked_before_memory_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    room, whose = memory_room.available()
    assert 1 << 20 < room < 1 << 50 and whose
    monkeypatch.setattr(hugepage, "available", lambda: (64 << 20, "control group /small"))
    with pytest.raises(
        MemoryExhausted, match=r"needs 37916 MiB, and 64 MiB are left by control group /small"
    ):
        Mempool(1 << 24, hugepages="no")
    Mempool(1000, hugepages="no")


@pytest.mark.parametrize(
    "again", [lambda: Frames([bytes(60)]), Counter, lambda: Field("f", 0, 2), lambda: Trial(Counter())]
)
def test_what_is_made_is_not_made_again(again) -> None:
    """Compiled code has pointers to what the first __init__ was given."""
    made = again()
    if isinstance(made, Counter):
        made.__init__()  # there is nothing that a second time could change
        return
    with pytest.raises(ConfigError, match="made already"):
        made.__init__([b"x"]) if isinstance(made, Frames) else made.__init__(Counter()) if isinstance(
            made, Trial
        ) else made.__init__("g", 0, 64)


def test_a_ring_keeps_what_it_was_given() -> None:
    ring = Ring(8)
    ring.put(range(5))
    assert ring.get(9) == [0, 1, 2, 3, 4]
