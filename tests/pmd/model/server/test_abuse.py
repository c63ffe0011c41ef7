# SPDX-License-Identifier: BSD-3-Clause
"""Hostile clients, all at once, beside one that does its work: what it gets, and what is left of the server.

Server and victim run on one CPU, the hostile on another. `make test-abuse MESSAGES=1000000` does it at length and holds the
victim's reads to 5 ms; without that the limit moves with what the machine does anyway, measured in the same minute. Traffic
is counted for each second of CPU that server and victim got: other programs take seconds from both, not frames.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from served import SANITIZED, TIMEOUT, Served

from dataplane.byhand import receive, send
from dataplane.pmd import probe
from dataplane.pmd.datasheet import STATUS
from tests.pmd.model.server.hostiles import ATTACKS

MESSAGES = int(os.environ.get("ABUSE_MESSAGES") or 0)
SEED = int(os.environ.get("ABUSE_SEED") or 82599)
EXACT = MESSAGES > 0 and not SANITIZED
SECONDS = 30.0 if MESSAGES else 6.0  # of all of them; the fuzzer goes on until it has said what it has to
LIMIT = 0.005  # seconds: the victim's reads at the 99th percentile
BURSTS = 16  # of 32 frames between two reads where traffic is measured: messages do not limit it then
SHARE = 4  # alone it moves at most so many times what it moves beside the hostile
GROWTH = 48 << 10  # KiB that a Python process may grow by without leaking
FRAME = bytes.fromhex("ffffffffffff02000000000188b5") + bytes(range(50))
NAMES = [*ATTACKS, "fuzzer"]
ROOT = Path(__file__).parents[4]


class Work(NamedTuple):
    """The victim's results in some seconds. queued: seconds that the server's thread waited for its CPU, each time."""

    frames: int  # that came back
    cpu: float  # seconds that server and victim had together
    seconds: float
    reads: list[float]  # how long each register read took, seconds, sorted
    queued: float

    @property
    def median(self) -> float:
        """The median of the reads, in seconds."""
        return self.reads[len(self.reads) // 2]

    @property
    def late(self) -> float:
        """The 99th percentile of the reads, seconds."""
        return self.reads[len(self.reads) * 99 // 100]

    @property
    def rate(self) -> float:
        """Frames a second of CPU."""
        return self.frames / self.cpu

    def __str__(self) -> str:
        return (
            f"{self.rate:.0f} frames a second of CPU, {self.cpu / self.seconds:.2f} of one; "
            f"reads {self.median * 1e3:.2f} ms, 99 % below {self.late * 1e3:.2f} ms; "
            f"the server waited {self.queued * 1e3:.2f} ms for its CPU, each time"
        )


class Victim:
    """A driver that sends, receives and reads registers. Its port's wire comes back to it."""

    def __init__(self, nic: Served) -> None:
        self.nic, self.port = nic, probe(nic.port("pf1"))
        self.sender, self.receiver = self.port.tx(0), self.port.rx(0)
        self.port.start()
        self.port.wait_link()
        self.sent = self.received = 0

    def work(self, seconds: float) -> Work:
        """Half of that time it reads a register after each burst, which is timed; then it is traffic that counts."""
        queued = self._queued()
        reads = sorted(self._drive(seconds / 2, 1))
        after = self._queued()
        frames, cpu, began = self.received, self._cpu(), time.monotonic()
        self._drive(seconds / 2, BURSTS)
        return Work(
            self.received - frames,
            self._cpu() - cpu,
            time.monotonic() - began,
            reads,
            (after[0] - queued[0]) / max(after[1] - queued[1], 1),
        )

    def _drive(self, seconds: float, bursts: int) -> list[float]:
        """Bursts that come back, and a read after so many of them: how long each read took."""
        reads, end, bar = [], time.monotonic() + seconds, self.port.function.bar(0)
        while time.monotonic() < end:
            for _ in range(bursts):
                self.sent += send(self.sender, [FRAME] * 32)
                self.take()
            start = time.perf_counter()
            assert bar.read32(STATUS.offset) != 0xFFFF_FFFF
            reads.append(time.perf_counter() - start)
        return reads

    def take(self) -> None:
        while got := receive(self.receiver, 64):
            assert all(frame == FRAME for frame in got)
            self.received += len(got)

    def _cpu(self) -> float:
        """Seconds of CPU that the server and we have had, threads that have ended included."""
        return sum(time.clock_gettime(_cpu_clock(process)) for process in (self.nic.process.pid, os.getpid()))

    def _queued(self) -> tuple[float, int]:
        """Seconds that the server's main thread was ready to run and did not, and how often it ran."""
        process = self.nic.process.pid
        _, waited, slices = Path(f"/proc/{process}/task/{process}/schedstat").read_text().split()
        return int(waited) / 1e9, int(slices)


def _cpu_clock(process: int) -> int:
    """clock_getcpuclockid(3), which Python has for threads only."""
    return ~process << 3 | 2


@pytest.fixture
def nic() -> Iterator[Served]:
    """On the first of our CPUs, with the victim; the other is for the hostile."""
    cpus = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cpus)})
    try:
        with Served(
            "--vfs",
            str(len(NAMES)),
            "--wire",
            "pf0=loop,elastic=on",
            "--wire",
            "pf1=loop,elastic=on",
            quiet=True,
        ) as served:
            yield served
    finally:
        os.sched_setaffinity(0, cpus)


def unleash(nic: Served, seconds: float, messages: int) -> list[subprocess.Popen[str]]:
    """One process for each attack, each on a function of its own: those that need a PF's registers take turns on pf0.

    All of them have begun when this returns.
    """
    cpus = os.sched_getaffinity(0)
    spare = os.cpu_count() or 1
    other = set(range(spare)) - cpus or cpus
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests/pmd")])}
    started = []
    for n, name in enumerate(NAMES):
        function = "pf0" if name in ("cut_short", "scribbled_tails") else f"pf0.vf{n}"
        command = [
            sys.executable,
            str(Path(__file__).with_name("hostiles.py")),
            name,
            str(nic.path(function)),
        ]
        command += [str(seconds), str(SEED + n), str(messages if name == "fuzzer" else 0)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)
        os.sched_setaffinity(process.pid, other)
        started.append(process)
    for process in started:
        assert process.stdout is not None and "begins" in process.stdout.readline()
    return started


@pytest.mark.timeout(600 + MESSAGES // 500)
def test_a_neighbour_of_hostile_clients_gets_its_share(nic: Served) -> None:
    victim = Victim(nic)
    try:
        beside_hostile(nic, victim)
    finally:
        victim.port.close()
    last = unleash(nic, 60, 0)
    time.sleep(2)
    began = time.monotonic()
    assert nic.stop()[0] == 0
    took = time.monotonic() - began
    for process in last:
        process.kill()
        process.communicate()
    print(f"ended within {took:.2f} s")
    assert took < (1 if EXACT else TIMEOUT)


def beside_hostile(nic: Served, victim: Victim) -> None:
    """The victim's work before, beside and after the hostile; then its counters, and what the server holds."""
    for process in unleash(nic, 0.5, 0):  # what the server needs once and keeps
        process.communicate(timeout=120)
    alone = victim.work(2)
    before = nic.use()
    hostile = unleash(nic, SECONDS, MESSAGES)
    piece = 1 if MESSAGES else 0.5
    beside = [victim.work(piece) for _ in range(round((SECONDS - 1) / piece))]
    reads = sorted(read for each in beside for read in each.reads)  # while all of them attack
    while any(process.poll() is None for process in hostile) and MESSAGES:
        beside.append(victim.work(5))
    said = [process.communicate(timeout=60 + MESSAGES // 500)[0] for process in hostile]
    assert all(process.returncode == 0 for process in hostile)
    again = victim.work(2)
    print("", *said, f"alone: {alone}", *(f"beside: {each}" for each in beside), f"again: {again}", sep="\n")
    assert nic.process.poll() is None, "the server has died"

    if EXACT:
        assert reads[len(reads) * 99 // 100] < LIMIT, "a register's read waits for the hostile"
        assert max(each.late for each in beside) < 2 * LIMIT, "for a second most reads wait for the hostile"
    else:  # on a machine that others use, too, whole seconds go by without a CPU for the server: the best half counts
        quiet = 4 * max(alone.late, again.late)
        assert min(each.late for each in beside) < LIMIT + quiet, "a register's read waits for the hostile"
    rate = sum(each.frames for each in beside) / sum(each.cpu for each in beside)
    if EXACT:  # in each second, too
        rate = min(rate, *(each.rate for each in beside))
    assert rate > min(alone.rate, again.rate) / SHARE, "its traffic is not its share"

    deadline = time.monotonic() + TIMEOUT
    while victim.received < victim.sent and time.monotonic() < deadline:
        victim.take()
    counted = victim.port.xstats()
    assert victim.received == victim.sent == counted["tx_good_packets"] == counted["rx_good_packets"]
    assert counted["rx_missed_errors"] == counted["rx_errors"] == 0

    while (now := nic.use()).exceeds(before, spare=16):
        assert time.monotonic() < deadline + TIMEOUT, f"{before} before, {now} after"
        time.sleep(0.05)
    assert now.memory < before.memory + GROWTH
