# SPDX-License-Identifier: BSD-3-Clause
"""The fast path, a row each: what is measured in this tree and in another, with the compiled loops that each tree has.

This file runs inside trees of other revisions: what has had another name there is imported by `part`, and of `bench` only
loops are used that have been there for long. Each workload opens what it needs and yields a function that runs one slice,
about half a millisecond, and returns its cost: cycles of the time-stamp counter a packet, mbuf, object or poll.
"""

from __future__ import annotations

import importlib
import os
import struct
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

Slice = Callable[[], float]

BURST = 32
LAPS = 2048  # of a pipeline in a slice
ROUNDS = 512  # of bursts between driver and device in a slice
VFS = 63
LEFT, RIGHT = "02:00:00:00:00:01", "02:00:00:00:00:02"
FRAME = bytes.fromhex("020000000001020000000002") + b"\x88\xb5" + bytes(46)

WORKLOADS: dict[str, tuple[str, Callable[[], AbstractContextManager[Slice]]]] = {}


def rows(unit: str, named: dict[str, tuple[Any, ...]]) -> Callable[[Any], Any]:
    """A row for each name: the function that follows, called with the arguments beside the name."""

    def keep(function: Callable[..., Iterator[Slice]]) -> Callable[..., Iterator[Slice]]:
        make = contextmanager(function)
        for name, arguments in named.items():
            WORKLOADS[name] = unit, partial(make, *arguments)
        return function

    return keep


def part(name: str) -> Any:
    """The module of this project that is called so: `dataplane.pmd`, or `pmd` in revisions that have no such name yet.

    Raises ModuleNotFoundError if the tree has neither.
    """
    full = f"dataplane.{name}"
    try:
        return importlib.import_module(full)
    except ModuleNotFoundError as error:
        if not full.startswith(str(error.name)):
            raise  # the module is there, and something that it imports is not
        return importlib.import_module(name)


def bench(name: str) -> Any:
    """The module of the tree's bench/ that is called so: `loops.solo`, or `solo` in revisions that have no such folder yet.

    Raises ModuleNotFoundError if the tree has neither.
    """
    folder, _, module = name.partition(".")
    try:
        return importlib.import_module(f"bench.{name}")
    except ModuleNotFoundError as error:
        if error.name not in ("bench", f"bench.{folder}"):
            raise  # the folder is there, and the module or something that it imports is not
        return importlib.import_module(f"bench.{module}")


def loops(name: str) -> Any:
    """A module of compiled loops of the tree's bench/."""
    return bench(f"loops.{name}")


# ---- pipelines ---------------------------------------------------------------------------------------------------


def opened(stack: ExitStack, text: str) -> Any:
    """A port that is closed at the end."""
    return stack.enter_context(part("pmd").probe(text))


def cost(stack: ExitStack, *chains: Any, burst: int = BURST, laps: int = LAPS) -> Slice:
    """Slices of a pipeline, lap by lap in this thread. Raises AssertionError at its end if packets were dropped."""
    from dataplane import Pipeline
    from dataplane.clock import cycles

    stepper = stack.enter_context(Pipeline(*chains, burst=burst).stepper())

    def check() -> None:
        drops = stepper.read()[1]
        assert not any(drops.values()), f"packets were dropped: {drops}"

    stack.callback(check)

    def run() -> float:
        stepper.step(laps // 8)  # what the other side left of the caches is not ours
        start = cycles()
        packets = stepper.step(laps)
        return (cycles() - start) / packets

    return run


def app(name: str) -> Any:
    """An app between two ports; "": none."""
    apps = part("apps")
    return apps.L2Fwd(src=LEFT, dst=RIGHT) if name == "L2Fwd" else getattr(apps, name)()


@rows(
    "cycles/packet",
    {
        "io, null -> null": ("",),
        "l2fwd, null -> null": ("L2Fwd",),
        "macswap, null -> null": ("Reflect",),
        "macswap in NumPy, null -> null, burst 256": ("MacSwap", 256),
    },
)
def between_nulls(name: str, burst: int = BURST) -> Iterator[Slice]:
    """Both ways between two null ports."""
    with ExitStack() as stack:
        left, right = opened(stack, "null:size=60"), opened(stack, "null:size=60")
        if name:
            chains = left.rx() >> app(name) >> right.tx(), right.rx() >> app(name) >> left.tx()
        else:
            chains = left.rx() >> right.tx(), right.rx() >> left.tx()
        yield cost(stack, *chains, burst=burst, laps=LAPS * BURST // burst // 2)


@rows(
    "cycles/packet",
    {
        "io, round a ring": ("",),
        "l2fwd, round a ring": ("L2Fwd",),
        "macswap, round a ring": ("Reflect",),
    },
)
def round_a_ring(name: str) -> Iterator[Slice]:
    from dataplane import Pipeline

    with ExitStack() as stack:
        null, ring = opened(stack, "null:size=60"), opened(stack, "ring:against,single=on")
        ring.rx(), ring.tx()
        ring.start()
        Pipeline(null.rx() >> ring.tx(), burst=BURST).run(count=BURST)
        yield cost(
            stack, ring.rx() >> app(name) >> ring.tx() if name else ring.rx() >> ring.tx(), laps=LAPS * 2
        )


@rows("cycles/packet", {"null -> sink": ()})
def sink() -> Iterator[Slice]:
    with ExitStack() as stack:
        yield cost(stack, opened(stack, "null:size=60").rx() >> part("apps").Sink())


@rows(
    "cycles/packet",
    {
        "pktgen -> null, a table of 4,096": ("table",),
        "pktgen -> null, 268 million in order": ("odometer",),
        "pktgen -> null, at random": ("random",),
    },
)
def generator(form: str) -> Iterator[Slice]:
    """Addresses and ports vary, checksums are right."""
    from scapy.layers.inet import IP, UDP
    from scapy.layers.l2 import Ether
    from scapy.volatile import RandIP, RandShort

    ether, dports = Ether(dst=LEFT, src=RIGHT), [53, 80, 443, 4789]
    flows = {
        "table": ether / IP(src="10.0.0.0/28", dst="10.1.0.0/28") / UDP(sport=(1024, 1027), dport=dports),
        "odometer": ether / IP(src="10.0.0.0/24", dst="10.1.0.0/24") / UDP(sport=(1024, 2047), dport=dports),
        "random": ether
        / IP(src=RandIP("10.0.0.0/8"), dst=RandIP("10.0.0.0/8"))
        / UDP(sport=RandShort(), dport=RandShort()),
    }
    with ExitStack() as stack:
        yield cost(stack, part("apps").PktGen(flows[form], size=64) >> opened(stack, "null:").tx())


# ---- captures ----------------------------------------------------------------------------------------------------


@contextmanager
def memory_file() -> Iterator[Path]:
    """A name on a file system in memory, where there is one: `turns.side` has the folder for temporary files there."""
    with tempfile.TemporaryDirectory() as found:
        yield Path(found) / "frames.pcap"


@rows("cycles/packet", {"pcap replayed from memory into null": ()})
def replay() -> Iterator[Slice]:
    """10,000 frames of 60 bytes, again and again."""
    with ExitStack() as stack:
        path = stack.enter_context(memory_file())
        record = struct.pack("<IIII", 0, 0, len(FRAME), len(FRAME)) + FRAME
        path.write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + record * 10_000)
        port = opened(stack, f"pcap:{path},loop=0,preload=on")
        yield cost(stack, port.rx() >> opened(stack, "null:").tx(), laps=LAPS // 2)


@rows("cycles/packet", {"null -> pcap file in memory": ()})
def capture() -> Iterator[Slice]:
    with ExitStack() as stack:
        path = stack.enter_context(memory_file())
        chain = opened(stack, "null:size=60").rx() >> opened(stack, f"pcap:>{path}").tx()
        run = cost(stack, chain, laps=LAPS // 4)

        def once() -> float:
            found = run()
            os.truncate(path, 0)  # or it would fill the memory
            return found

        yield once


@rows("cycles/packet", {"pcap writer alone, to /dev/null": ()})
def writer() -> Iterator[Slice]:
    from dataplane.clock import hz

    try:
        file = importlib.import_module("dataplane.files.pcapfile")
    except ModuleNotFoundError:
        file = importlib.import_module("dataplane.pcapfile")  # where older revisions have it
    with ExitStack() as stack:
        null = opened(stack, "null:size=60")
        null.rx()
        null.start()
        written = stack.enter_context(file.PcapWriter("/dev/null"))
        yield lambda: hz() / loops("ports").write_mpps(null.rx(), written, BURST, BURST * LAPS) / 1e6


# ---- memory ------------------------------------------------------------------------------------------------------


@rows(
    "cycles/mbuf",
    {
        "mempool alloc + free in bulk": ("mempool_cycles",),
        "mbufs alloc in bulk + free packet by packet": ("packet_cycles",),
    },
)
def mempool(loop: str) -> Iterator[Slice]:
    from dataplane.mempool import Mempool

    pool = Mempool(8192)
    yield lambda: getattr(loops("micro"), loop)(pool, BURST, ROUNDS * 48)


@rows(
    "cycles/object",
    {
        "ring SPSC enqueue + dequeue": (True,),
        "ring MPMC enqueue + dequeue": (False,),
    },
)
def ring(single: bool) -> Iterator[Slice]:
    from dataplane.ring import Ring

    found = Ring(1024, single=single)
    yield lambda: loops("micro").ring_cycles(found, BURST, ROUNDS * 48)


# ---- the driver and the model ------------------------------------------------------------------------------------


def card(stack: ExitStack, options: str = "") -> Any:
    """A PF on the model, driver and device in turns in this thread, and a plug that brings back what is sent."""
    port = opened(stack, f"model0,thread=off,wire=loop{options}")
    port.configure(rx_desc=512, tx_desc=512)
    port.rx(0), port.tx(0)
    port.start()
    port.wait_link()
    return port


@rows(
    "cycles/packet",
    {
        "82599 rx + tx, burst 32": (32,),
        "82599 rx + tx, burst 64": (64,),
    },
)
def driver(n: int) -> Iterator[Slice]:
    solo = loops("solo")
    with ExitStack() as stack:
        port = card(stack)
        engine, rx, tx = port.function.chip.engine, port.rx(0), port.tx(0)
        solo.fill(tx, port.mempool, n, solo.broadcast(60))
        yield lambda: solo.forward_cycles(rx, tx, engine, n, ROUNDS)[0]


@rows(
    "cycles/packet",
    {
        "82599 rx + tx, checksums and VLAN, one mbuf": (0,),
        "82599 rx + tx, checksums and VLAN, two mbufs": (42,),
    },
)
def offloads(head: int) -> Iterator[Slice]:
    solo = loops("solo")
    with ExitStack() as stack:
        port = card(stack, ",vlan_strip=on")
        engine, rx, tx, frame = port.function.chip.engine, port.rx(0), port.tx(0), solo.udp(60, False)
        solo.fill(tx, port.mempool, BURST, solo.udp(60, True))
        yield lambda: solo.offload_cycles(rx, tx, engine, port.mempool, BURST, ROUNDS, frame, head)[0]


@rows(
    "cycles/packet",
    {
        "82599 rx + tx, 4 queues busy": (4,),
        "82599 rx + tx, 16 queues busy": (16,),
    },
)
def spread(n: int) -> Iterator[Slice]:
    """32 packets a lap by each queue."""
    with ExitStack() as stack:
        port = opened(stack, "model0,wire=loop,thread=off,rx_desc=128")
        rx, tx = [port.rx(q) for q in range(n)], [port.tx(q) for q in range(n)]
        port.start()
        port.wait_link()
        for queue, frame in zip(tx, bench("rows.test_queues").flows(port, n), strict=True):
            loops("solo").fill(queue, port.mempool, BURST, frame)
        engine = port.function.chip.engine
        yield lambda: loops("queues").spread_cycles(rx, tx, engine, ROUNDS // n)


@rows("cycles/poll", {"82599 rx, a poll in vain": ()})
def idle() -> Iterator[Slice]:
    with ExitStack() as stack:
        rx = card(stack).rx(0)
        yield lambda: loops("solo").empty_cycles(rx, ROUNDS * 128)


@rows(
    "cycles/packet",
    {
        "model Tx + Rx, 64-byte frames": (60,),
        "model Tx + Rx, 1518-byte frames": (1514,),
    },
)
def model(size: int) -> Iterator[Slice]:
    """Only the model's own steps, both directions."""
    from scapy.layers.inet import IP, UDP
    from scapy.layers.l2 import Ether
    from scapy.packet import Raw

    packet = Ether(dst=LEFT, src=RIGHT) / IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1, dport=2)
    pair = loops("silicon").Pair(bytes(packet / Raw(bytes(size - 42))))
    yield lambda: sum(pair.cycles(BURST, ROUNDS // 2))


def with_vfs(stack: ExitStack) -> tuple[Any, list[Any]]:
    """A PF with VFs that all run, and their ports. By the plug, not by the switch, each gets what it sends to itself."""
    from dataplane.mempool import Mempool

    pool, probe, ports = Mempool(1 << 16, name="against"), part("pmd").probe, []
    for text in (f"model0,thread=off,wire=loop,vfs={VFS}", *(f"model0.vf{n}" for n in range(VFS))):
        port = probe(text)
        stack.callback(port.close, **({"force": True} if not ports else {}))
        port.configure(mempool=pool, rx_desc=512, tx_desc=512)
        port.rx(0), port.tx(0)
        port.start()
        port.wait_link(5.0)
        ports.append(port)
    ports[0].bar.update(part("pmd.datasheet").PFDTXGSWC, LBE=0)
    return ports[0], ports[1:]


def fill(port: Any) -> tuple[Any, Any]:
    """A burst of frames from a port to itself is under way. Returns its queues."""
    address = bytes.fromhex(port.mac.replace(":", ""))
    loops("solo").fill(port.tx(0), port.mempool, BURST, address * 2 + bytes(48))
    return port.rx(0), port.tx(0)


@rows(
    "cycles/packet",
    {
        "PF rx + tx, 63 VFs enabled": (False,),
        "VF rx + tx, 63 VFs enabled": (True,),
    },
)
def beside_vfs(vf: bool) -> Iterator[Slice]:
    with ExitStack() as stack:
        pf, vfs = with_vfs(stack)
        engine, port = pf.function.chip.engine, vfs[7] if vf else pf
        rx, tx = fill(port)
        yield lambda: loops("solo").forward_cycles(rx, tx, engine, BURST, ROUNDS)[0]


@rows("cycles/packet", {"model Tx + Rx by the wire, 63 VFs busy": ()})
def busy_vfs() -> Iterator[Slice]:
    with ExitStack() as stack:
        pf, vfs = with_vfs(stack)
        engine, queues = pf.function.chip.engine, [fill(port) for port in vfs]
        yield lambda: loops("solo").device_cycles(queues, engine, BURST, 8)
