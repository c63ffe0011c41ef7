# SPDX-License-Identifier: BSD-3-Clause
"""Cards of the model with DPDK's testpmd on one of them and our driver at the other ends of its wires."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

from modelrig import frame

from bench.peer.testpmd import Testpmd
from dataplane import pmd
from dataplane.byhand import receive, send
from dataplane.mempool import Mempool
from dataplane.pmd.bus.model import ModelFunction, open_function
from dataplane.pmd.bus.model_vf import ModelVfFunction
from dataplane.pmd.foreign.slot import Slots
from dataplane.pmd.portstring import PortString
from dataplane.port import Port
from tests.dpdk import suites


class Rig:
    """What is opened through it is closed after the test: programs, slots, then functions and ports."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self.pool = Mempool(4096, name="rig")
        self.programs: list[Testpmd] = []
        self.slots: Slots
        self.forgiven: tuple[str, ...] = ()  # rules that the program of this test is known to break

    def port(self, text: str, queues: int = 1) -> Port:
        """A port with our driver, started."""
        port = self._stack.enter_context(pmd.probe(text))
        port.configure(mempool=self.pool)
        port.rx(queues - 1), port.tx(queues - 1)
        port.start()
        return port

    def function(self, text: str) -> ModelFunction | ModelVfFunction:
        """A function of the model for another driver than ours."""
        target, comma, options = text.partition(",")
        spec = PortString.split_options(text, "", target, comma + options)
        return self._stack.enter_context(open_function(spec))

    def plug_in(self, *functions: str | ModelFunction | ModelVfFunction) -> Slots:
        """These functions in slots, in that order."""
        self.slots = self._stack.enter_context(Slots(functions))
        return self.slots

    def testpmd(self, *words: str, eal: Sequence[str] = (), **more: Any) -> Testpmd:
        """testpmd on the slots, at its first prompt."""
        devices = [word for slot in self.slots for word in ("-a", slot.address)]
        program = Testpmd([*devices, *eal], *words, start=self._start, **more)
        self._stack.callback(program.kill)
        self.programs.append(program)
        return program

    def _start(self, command: Sequence[str], **more: Any) -> subprocess.Popen[Any]:
        suite = suites.chosen()
        return self.slots.start(suites.inside(suites.root_of(suite), command) if suite else command, **more)

    def violations(self) -> list[str]:
        """The violations of the drivers in the slots that a strict card reports, without those in `forgiven`."""
        return [text for text in self.all_violations() if not any(rule in text for rule in self.forgiven)]

    def all_violations(self) -> list[str]:
        """The violations that a strict card reports, each kind once."""
        return [finding.text for finding in self.slots.findings]

    def close(self) -> None:
        self._stack.close()


class QueueCounts:
    """How many packets each Rx queue of testpmd's port 0 has had since forwarding started: queue -> packets, without zeroes.

    testpmd counts by itself. The chip counts queues in 16 sets, by default all in the first. Until DPDK 25.07 testpmd could
    assign queues to sets: where it can, the chip must count the same.
    """

    def __init__(self, testpmd: Testpmd, queues: int) -> None:
        self._testpmd, self._queues = testpmd, queues
        said = [testpmd.ask(f"set stat_qmap rx 0 {queue} {queue}") for queue in range(queues)]
        self._told = not any("Bad arguments" in each or "not found" in each for each in said)
        self._before = self._by_chip()

    def __call__(self) -> dict[int, int]:
        for _ in range(50):
            found, chip = self._by_program(), self._by_chip()
            grown = {queue: count - self._before[queue] for queue, count in chip.items()}
            if not self._told or {queue: count for queue, count in grown.items() if count} == found:
                return found
            time.sleep(0.02)  # testpmd takes what the chip has counted
        raise AssertionError(f"testpmd has {found}, the chip counted {grown}")

    def _by_program(self) -> dict[int, int]:
        said = self._testpmd.ask("show fwd stats all")
        stream = r"RX Port= *0/Queue= *(\d+) [^\n]*\n *RX-packets: (\d+)"
        return {int(queue): int(count) for queue, count in re.findall(stream, said) if int(count)}

    def _by_chip(self) -> dict[int, int]:
        if not self._told:
            return {}
        counts = self._testpmd.xstats(0)
        return {queue: counts[f"rx_q{queue}_packets"] for queue in range(self._queues)}


def eventually(holds: Callable[[], object], what: str, seconds: float = 10.0) -> None:
    """Wait until it holds; AssertionError that says what did not come."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(2e-3)


def receive_all(
    port: Port, most: int | None = None, quiet: float | None = None, seconds: float = 20.0
) -> list[bytes]:
    """Receive on all queues of a port until `most` frames or more have come, or none has come for `quiet` seconds.

    `quiet` is longer by default when `most` is given: a busy machine may let a program wait for a second.
    """
    if quiet is None:
        quiet = 0.5 if most is None else 5.0
    got: list[bytes] = []
    last, deadline = time.monotonic(), time.monotonic() + seconds
    while most is None or len(got) < most:
        late = time.monotonic() >= min(deadline, last + quiet)
        new = [each for n in range(port.rx_queues) for each in receive(port.rx(n), 64)]
        if new:
            last = time.monotonic()
            got += new
        elif late:
            break
        else:
            time.sleep(2e-4)
    return got


def exchange(
    near: Port, far: Port, frames: Sequence[bytes], seconds: float = 20.0, at_once: int = 32
) -> list[bytes]:
    """Send frames into `near`; what `far` gets until all have come, or nothing comes any more."""
    got: list[bytes] = []
    sent, deadline = 0, time.monotonic() + seconds
    while len(got) < len(frames) and time.monotonic() < deadline:
        if sent - len(got) < 4 * at_once:  # testpmd drops what its Tx ring of 256 has no room for
            sent += send(near.tx(0), frames[sent : sent + at_once], near.mempool)
        new = receive_all(far, 1, quiet=0.0 if sent < len(frames) else 3.0)
        if not new and sent == len(frames):
            break
        got += new
    return got


def frames(
    n: int, size: Callable[[int], int] = lambda number: 60 + number * 37 % 1455, to: str = "02:00:00:00:00:01"
) -> list[bytes]:
    """Different frames of many sizes, 60 to 1514 bytes."""
    return [frame(number, size(number), to) for number in range(n)]
