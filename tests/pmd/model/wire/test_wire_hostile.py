# SPDX-License-Identifier: BSD-3-Clause
"""The other end of a wire between processes is hostile: hypothesis makes up its writes, messages and removals.

The port neither crashes nor hangs, each frame that it took it counts, and a well-behaved peer works afterwards.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataplane.pmd.model.shared import Clock
from dataplane.pmd.model.wire.peer import PeerWire
from tests.pmd.model.rig import Port, frame
from tests.pmd.model.wire_raw import (
    ASLEEP,
    FRAME_MAX,
    FRAME_MIN,
    HEAD,
    LIT,
    MEMORY,
    PAGE,
    RING,
    TAIL,
    TIMEOUT,
    join,
    memory,
    step_until,
)

EXAMPLES = int(os.environ.get("WIRE_EXAMPLES", "150"))
TPR = 0x040D0  # frames that came, whatever became of them
_PUNCH_HOLE, _KEEP_SIZE = 2, 1
_libc = ctypes.CDLL(None, use_errno=True)

EDGES = (
    0,
    1,
    7,
    8,
    16,
    72,
    FRAME_MIN,
    FRAME_MAX,
    PAGE,
    RING - 8,
    RING,
    RING + 8,
    2 * RING,
    1 << 31,
    (1 << 32) - 1,
)
WORD = st.sampled_from([*EDGES, 1 << 32, 1 << 63, (1 << 64) - 8]) | st.integers(0, (1 << 64) - 1)
LENGTH = st.sampled_from([FRAME_MIN - 1, FRAME_MIN, 60, 1514, FRAME_MAX, FRAME_MAX + 1]) | st.integers(
    0, (1 << 32) - 1
)
FLAGS = st.sampled_from([0, 0, 0, 1, 2, 3, 4]) | st.integers(0, (1 << 32) - 1)
MOVE = st.none() | st.sampled_from([0, 8, 16, 68, RING - 8, RING]) | st.integers(0, RING)
FIELD = st.sampled_from([TAIL, LIT, HEAD, ASLEEP]) | st.integers(0, 383)
STEPS = st.lists(
    st.tuples(st.just("step"), st.integers(1, 4))
    | st.tuples(st.just("frames"), st.integers(1, 40), st.integers(FRAME_MIN, FRAME_MAX))
    | st.tuples(st.just("record"), LENGTH, FLAGS, MOVE)
    | st.tuples(st.just("publish"), WORD)
    | st.tuples(st.just("move tail"), st.integers(-64, RING))
    | st.tuples(st.just("poke"), st.booleans(), FIELD, WORD, st.sampled_from([1, 4, 8]))
    | st.tuples(st.just("light"), st.integers(0, 3))
    | st.tuples(st.just("port sends"), st.integers(1, 30), st.integers(60, 1514))
    | st.tuples(st.just("take"))
    | st.tuples(st.just("say"), st.binary(max_size=8), st.integers(0, 3))
    | st.tuples(st.just("hole"), st.integers(0, MEMORY), st.integers(1, MEMORY))
    | st.tuples(st.just("hang up"), st.sampled_from(["close", "write", "read", "both"]))
    | st.tuples(st.just("come again"), st.booleans())
    | st.tuples(st.just("tend")),
    max_size=40,
)


class Hostile:
    """A port with a wire, and the peer that it has at the moment, which does what the steps say."""

    def __init__(self) -> None:
        self.port = Port("victim", Clock(virtual=False), size=1 << 20)
        self.port.tx_queue(n=64), self.port.rx_queue(n=64)
        self.port.write(0x05080, 0x702)  # FCTRL: everything, bad frames, too
        self.wire = PeerWire(self.port.engine)
        self.raw = join(self.wire)

    def do(self, what: str, *values) -> None:
        raw, port = self.raw, self.port
        if what == "step":
            port.step(values[0])
        elif what == "frames":
            for _ in range(values[0]):
                raw.send(frame(values[1]))
        elif what == "record":
            raw.record(values[0], values[1], b"\xa5" * 64, move=values[2])
            raw.tail &= ~7  # where its words can be written
            raw.publish()
        elif what == "publish":
            raw.publish(values[0])
        elif what == "move tail":
            raw.publish(raw.tail + values[0])
        elif what == "poke":
            lane, at, value, size = values
            raw.poke(min((raw.out_lane, raw.in_lane)[lane] + at, MEMORY - 8), value, size)
        elif what == "light":
            raw.shine(values[0])
        elif what == "port sends":
            for _ in range(values[0]):
                if (port.tx[0].tail - port.tx[0].head) % 64 < 32:
                    port.tx[0].send(frame(values[1]))
        elif what == "take":
            port.rx[0].take()
        elif what == "say":
            self._say(*values)
        elif what == "hole":
            at, size = values
            _libc.fallocate64(raw.fd, _PUNCH_HOLE | _KEEP_SIZE, ctypes.c_int64(at), ctypes.c_int64(size))
        elif what == "hang up":
            with contextlib.suppress(OSError):
                if values[0] == "close":
                    raw.socket.close()
                else:
                    raw.socket.shutdown({"write": 1, "read": 0, "both": 2}[values[0]])
        elif what == "come again":
            raw.close()
            self.raw = join(self.wire, first=values[0])
        elif what == "tend":
            self.wire.tend()

    def _say(self, message: bytes, count: int) -> None:
        fds = [memory(PAGE) for _ in range(count)]
        with contextlib.suppress(OSError):
            self.raw.socket.setblocking(False)
            socket.send_fds(self.raw.socket, [message], fds)
        for fd in fds:
            os.close(fd)

    def settle(self) -> None:
        """Take all that arrived, until nothing moves."""
        idle = 0
        while idle < 3:
            idle = 0 if self.port.step() or self.port.rx[0].take() else idle + 1

    def check(self) -> None:
        """Every frame that the wire delivered, the MAC has counted, and every one that it took was sent."""
        self.settle()
        assert self.port.registers.peek(TPR) == self.wire.received

    def close(self) -> None:
        self.raw.close()
        self.wire.close()
        assert self.wire.closer.wait(TIMEOUT)


def well_behaved(hostile: Hostile) -> None:
    """A new peer, both ways: every frame once and in order, and the counts are exact."""
    wire, port = hostile.wire, hostile.port
    hostile.raw.close()
    hostile.raw = raw = join(wire)
    raw.shine()
    while (
        port.tx[0].head != port.tx[0].tail
    ):  # frames that the port had for the peer before are lost, or come first
        port.step()
    hostile.settle()
    raw.take()
    sent, received, lost = wire.sent, wire.received, wire.lost
    got = []
    for n in range(100):
        assert raw.send(frame(60 + n))
        port.tx[0].send(frame(200 + n))
        port.step(2)
        got += [each.data for each in port.rx[0].take()]
        assert raw.take() == [(frame(200 + n), 0)]
    got += [each.data for each in port.rx[0].take()]
    assert got == [frame(60 + n) for n in range(100)]
    assert (wire.sent, wire.received, wire.lost) == (sent + 100, received + 100, lost)
    assert wire.connected and wire.tend() and port.engine.is_wire_up


@settings(max_examples=EXAMPLES, deadline=None)
@given(STEPS)
def test_a_hostile_peer(steps):
    hostile = Hostile()
    try:
        for what, *values in steps:
            hostile.do(what, *values)
        hostile.check()
        well_behaved(hostile)
    finally:
        hostile.close()


# Every word of both rings changes all the time, between what a good peer writes and what none does.
SCRIBBLER = textwrap.dedent("""
    import mmap, random, struct, sys, time
    ring, page, size, *fds = map(int, sys.argv[1:])
    maps = [mmap.mmap(fd, size) for fd in fds]
    record = struct.pack("<II", 60, 0) + bytes(64)
    good = record * (ring // len(record) + 1)
    faces = [good[:ring]] + [
        (struct.pack("<II", length, flags) + bytes(64)) * (ring // 72 + 1) for length, flags in
        ((61, 0), (15868, 0), (0xFFFF, 0), (0xFFFFFFFF, 0), (60, 1), (0, 2), (13, 0), (0, 0))
    ]
    print("ready", flush=True)
    n = 0
    while True:
        n += 1
        for m in maps:
            for at in (page, page + ring):
                m[at : at + ring] = faces[0 if n % 3 else random.randrange(len(faces))][:ring]
            for lane in (0, 384):
                m[lane + 8 : lane + 12] = struct.pack("<I", 1)
                head = struct.unpack_from("<Q", m, lane + 128)[0]
                tail = head + 72 * random.randrange(ring // 72) if n % 50 else random.getrandbits(64)
                m[lane : lane + 8] = struct.pack("<Q", tail)
                m[lane + 256 : lane + 260] = struct.pack("<I", n & 1)
""")


@pytest.fixture
def scribbled() -> Iterator[list[int]]:
    """Memories of wires that another process writes to all the time."""
    fds = [memory() for _ in range(4)]
    words = [sys.executable, "-c", SCRIBBLER, str(RING), str(PAGE), str(MEMORY), *map(str, fds)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, pass_fds=fds) as process:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        yield fds
        assert process.poll() is None, "the scribbler has ended before the test"
        process.kill()
    for fd in fds:
        os.close(fd)


def test_memory_that_changes_while_we_read(scribbled):
    hostile = Hostile()
    reasons, met, deadline = set(), 0, time.monotonic() + 1.5
    try:
        while time.monotonic() < deadline or not met or hostile.wire.received < 1000:
            assert time.monotonic() < deadline + 12 * TIMEOUT, f"{hostile.wire.received} frames, {reasons}"
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            hostile.wire.connect(ours.detach(), scribbled[met % len(scribbled)], met % 2 == 0)
            met += 1
            with theirs:
                for _ in range(50):
                    if not hostile.wire.connected:
                        break
                    hostile.do("port sends", 10, 100)
                    hostile.port.step(2)
                    hostile.port.rx[0].take()
            if not hostile.wire.connected:
                assert not hostile.wire.tend()
                reasons.add(hostile.wire.why)
        hostile.wire.disconnect()
        hostile.check()
        assert len(reasons - {None}) >= 1, "nothing that was written was found wrong"
        well_behaved(hostile)
    finally:
        hostile.close()


def test_it_is_well_behaved_itself():
    """What a hostile peer is compared with: a good one that does nothing wrong keeps its connection."""
    hostile = Hostile()
    try:
        hostile.raw.shine()
        for n in range(3000):
            hostile.do("frames", 3, 60 + n % 1400)
            hostile.do("port sends", 3, 60 + n % 1400)
            hostile.port.step(2)
            hostile.port.rx[0].take()
            hostile.raw.take()
        step_until(hostile.port.engine, lambda: hostile.port.tx[0].head == hostile.port.tx[0].tail)
        hostile.check()
        assert hostile.wire.connected and hostile.wire.tend()
        assert hostile.raw.tail > 4 * RING
    finally:
        hostile.close()
