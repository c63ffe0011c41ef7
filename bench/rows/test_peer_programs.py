# SPDX-License-Identifier: BSD-3-Clause
"""Our pipelines beside testpmd and l2fwd: null ports, a ring, captures. One core, burst 32, by turns on the same CPU.

Both sides count the CPU time of their forwarding, over windows of the same length: the time of other programs counts for
neither.
"""

from __future__ import annotations

import os
import shutil
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from bench import peer
from bench.peer.l2fwd import L2fwd
from bench.peer.testpmd import Testpmd
from dataplane import Pipeline, machine
from dataplane.apps import L2Fwd, PktGen, Reflect, Sink
from dataplane.clock import hz
from dataplane.files.pcapfile import PcapWriter
from dataplane.pmd import probe

WINDOW = 0.15  # seconds
LAPS = 512
TURNS = {"slices": 1, "rounds": 9}  # a slice is long: each is a round of its own
LEFT, RIGHT = "02:00:00:00:00:01", "02:00:00:00:00:02"


def cores() -> str:
    """EAL's words: where testpmd's main thread waits, and where it forwards, which is where we run too."""
    return f"{machine.usable_cpus()[0]},{machine.usable_cpus()[-1]}"


class Ours:
    """Pipelines that stand still between two calls of `cost`."""

    def __init__(self, *chains) -> None:
        self._pipeline = Pipeline(*chains, burst=32)

    def __enter__(self):
        self._stack = ExitStack()
        self._stepper = self._stack.enter_context(self._pipeline.stepper())
        return self

    def __exit__(self, kind, *exc) -> None:
        _, drops, _ = self._stepper.read()
        self._stack.close()
        assert kind is not None or not any(drops.values()), f"packets were dropped: {drops}"

    def cost(self) -> float:
        """Cycles of CPU time a packet over a window."""
        self._stepper.step(LAPS)
        packets, began, spent = 0, time.monotonic(), time.thread_time()
        while time.monotonic() < began + WINDOW:
            packets += self._stepper.step(LAPS)
        return (time.thread_time() - spent) * hz() / packets


@pytest.fixture
def stack():
    with ExitStack() as stack:
        yield stack


def reserve(stack, megabytes):
    """Hugepages for a program of DPDK, and some for EAL: others may have taken those that were free when the run began."""
    try:
        stack.enter_context(peer.hugepages(megabytes // 2 + 8))
    except peer.Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture
def testpmd(stack, debian_dpdk):
    """testpmd(*devices, words=..., ...): running, and killed at the end."""

    def start(*devices, words=(), **options):
        reserve(stack, options.get("megabytes", 64))
        program = Testpmd(
            ["--no-pci", *(f"--vdev={each}" for each in devices)],
            "--burst=32",
            *words,
            cores=cores(),
            **options,
        )
        stack.callback(program.kill)
        return program

    return start


@pytest.fixture
def opened(stack):
    """opened(text): a port that is closed at the end."""
    return lambda text: stack.enter_context(probe(text))


NULLS = "net_null0,size=64", "net_null1,size=64"


def both_ways(opened, app=None):
    left, right = opened("null:size=64"), opened("null:size=64")
    if app is None:
        return left.rx() >> right.tx(), right.rx() >> left.tx()
    return left.rx() >> app() >> right.tx(), right.rx() >> app() >> left.tx()


def forwarder():
    return L2Fwd(src=LEFT, dst=RIGHT)


@pytest.mark.parametrize(
    ("mode", "app", "what"),
    [
        ("io", None, "io"),
        ("mac", forwarder, "l2fwd, both addresses"),
        ("macswap", Reflect, "macswap"),
    ],
    ids=["io", "mac", "macswap"],
)
def test_null(compare, lcore, opened, testpmd, mode, app, what):
    theirs = testpmd(*NULLS)
    theirs.ask(f"set fwd {mode}")
    with Ours(*both_ways(opened, app)) as ours:
        compare(
            f"{what}, null -> null", "cycles/packet", ours.cost, lambda: theirs.cost(WINDOW),
            f"testpmd {mode}", **TURNS,
        )  # fmt: skip


def test_rxonly(compare, lcore, opened, testpmd):
    theirs = testpmd(*NULLS)
    theirs.ask("set fwd rxonly")
    with Ours(*(opened("null:size=64").rx() >> Sink() for _ in range(2))) as ours:
        compare(
            "null -> sink", "cycles/packet", ours.cost, lambda: theirs.cost(WINDOW), "testpmd rxonly", **TURNS
        )


def test_txonly(compare, lcore, opened, testpmd):
    from scapy.layers.inet import IP, UDP
    from scapy.layers.l2 import Ether

    theirs = testpmd(*NULLS)
    theirs.ask("set fwd txonly")
    flows = (
        Ether(src=LEFT, dst=RIGHT) / IP(dst="10.0.0.1", src="10.0.0.0/24") / UDP()
    )  # testpmd varies it, too
    with Ours(*(PktGen(flows, size=64) >> opened("null:").tx() for _ in range(2))) as ours:
        compare(
            "generator -> null",
            "cycles/packet",
            ours.cost,
            lambda: theirs.cost(WINDOW, "TX"),
            "testpmd txonly",
            **TURNS,
        )


@pytest.mark.parametrize(
    ("mode", "app", "what"),
    [
        ("io", None, "io"),
        ("macswap", forwarder, "l2fwd, both addresses"),
        ("macswap", Reflect, "macswap"),
    ],
    ids=["io", "l2fwd", "macswap"],
)
def test_ring(compare, lcore, opened, testpmd, mode, app, what):
    theirs = testpmd("net_ring0", words=("--port-topology=loop", "--no-flush-rx"))
    theirs.ask(f"set fwd {mode}")
    theirs.ask("start tx_first")
    theirs.ask("stop")
    ring = opened("ring:peer,single=on")
    ring.rx(), ring.tx()
    ring.start()
    Pipeline(opened("null:size=64").rx() >> ring.tx(), burst=32).run(count=32)
    chain = ring.rx() >> ring.tx() if app is None else ring.rx() >> app() >> ring.tx()
    with Ours(chain) as ours:
        compare(
            f"{what}, round a ring", "cycles/packet", ours.cost, lambda: theirs.cost(WINDOW),
            f"testpmd {mode}", **TURNS,
        )  # fmt: skip


def test_l2fwd(compare, lcore, stack, opened, debian_dpdk):
    reserve(stack, 64)
    try:
        theirs = L2fwd(machine.usable_cpus()[-1])
    except peer.Unavailable as reason:
        pytest.skip(str(reason))
    stack.callback(theirs.close)
    with Ours(*both_ways(opened, forwarder)) as ours:
        compare(
            "l2fwd, both addresses, null -> null, beside l2fwd", "cycles/packet", ours.cost, theirs.cost, "DPDK l2fwd",
            slices=1, rounds=9,
        )  # fmt: skip


@pytest.fixture
def memory_file(tmp_path):
    """A name on a file system in memory."""
    folder = Path("/dev/shm")
    if not folder.is_dir() or shutil.disk_usage(folder).free < 1 << 30:
        pytest.skip("no /dev/shm with 1 GiB to write a capture to")
    path = folder / f"dataplane-{os.getpid()}-{tmp_path.name}.pcap"
    yield path
    path.unlink(missing_ok=True)


def test_replay(compare, lcore, opened, testpmd, memory_file):
    with PcapWriter(memory_file) as writer:
        for n in range(10_000):
            writer.write(bytes.fromhex("020000000001020000000002") + b"\x88\xb5" + n.to_bytes(46, "big"))
    theirs = testpmd(
        f"net_pcap0,rx_pcap={memory_file},infinite_rx=1",
        words=("--port-topology=loop",),
        mbufs=32768,
        megabytes=192,
    )
    replay = opened(f"pcap:{memory_file},loop=0,preload=on")
    with Ours(replay.rx() >> opened("null:").tx()) as ours:
        compare(
            "pcap of 10k frames of 60 bytes, replayed from memory into null", "cycles/packet", ours.cost,
            lambda: theirs.cost(WINDOW), "testpmd pcap, infinite_rx", **TURNS,
        )  # fmt: skip


def test_capture(compare, lcore, opened, testpmd, memory_file, tmp_path):
    other = memory_file.with_suffix(".peer.pcap")
    theirs = testpmd("net_null0,size=60", f"net_pcap0,tx_pcap={other}")

    def mpps(measure, path):
        cycles = measure()
        os.truncate(path, 0)  # what was written would fill the memory
        return hz() / cycles / 1e6

    try:
        with Ours(opened("null:size=60").rx() >> opened(f"pcap:>{memory_file}").tx()) as ours:
            compare(
                "null -> pcap file on tmpfs, 60 bytes", "Mpps", lambda: mpps(ours.cost, memory_file),
                lambda: mpps(lambda: theirs.cost(WINDOW), other), "testpmd pcap", more=True, **TURNS,
            )  # fmt: skip
    finally:
        other.unlink(missing_ok=True)
