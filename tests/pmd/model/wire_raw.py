# SPDX-License-Identifier: BSD-3-Clause
"""The other end of a wire between processes, by hand: it writes any word of the shared memory, and any message.

The layout is entered a second time here, so that a change of `peer_ring.h` is a change of the protocol and is seen.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import socket
import struct
import time
from pathlib import Path

from dataplane.pmd.model.wire.peer import PeerWire

RING, PAGE, LANE = 512 << 10, 4096, 384
MEMORY = PAGE + 2 * RING
TAIL, LIT, HEAD, ASLEEP = 0, 8, 128, 256  # in a lane
BAD_CRC, SKIP = 1, 2
FRAME_MIN, FRAME_MAX = 14, 15868
HELLO = b"\2\0\2\0"
TIMEOUT = 5.0
SEALED = 0x1 | 0x2 | 0x4


def memory(size: int = MEMORY, seals: int = SEALED) -> int:
    """A memfd, sealed like that."""
    fd = os.memfd_create("wire", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    os.ftruncate(fd, size)
    fcntl.fcntl(fd, 1033, seals)
    return fd


def mappings() -> int:
    """How often this process has the memory of a wire mapped that an end of ours made."""
    return Path("/proc/self/maps").read_text().count("memfd:dataplane-wire")


def descriptors_open() -> int:
    """How many descriptors this process has."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


class Raw:
    """An end that does what a test likes. first: whether the first ring is ours to write, as for the end that listens."""

    def __init__(self, connection: socket.socket, fd: int, first: bool) -> None:
        self.socket, self.fd = connection, os.dup(fd)
        self.map = mmap.mmap(fd, MEMORY)
        out, into = (0, 1) if first else (1, 0)
        self.out_lane, self.in_lane = out * LANE, into * LANE
        self._out, self._in = PAGE + out * RING, PAGE + into * RING
        self.tail = self.head = 0

    def poke(self, at: int, value: int, size: int = 8) -> None:
        self.map[at : at + size] = (value & (1 << 8 * size) - 1).to_bytes(size, "little")

    def peek(self, at: int, size: int = 8) -> int:
        return int.from_bytes(self.map[at : at + size], "little")

    def shine(self, lit: int = 1) -> None:
        self.poke(self.out_lane + LIT, lit, 4)

    @property
    def sees_light(self) -> bool:
        return bool(self.peek(self.in_lane + LIT, 4))

    @property
    def said_tail(self) -> int:
        """How far the port has written its ring."""
        return self.peek(self.in_lane + TAIL)

    @property
    def said_head(self) -> int:
        """How far the port has taken ours."""
        return self.peek(self.out_lane + HEAD)

    def record(self, length: int, flags: int, data: bytes = b"", *, move: int | None = None) -> None:
        """A record's words, at our tail, which moves on by as much as it takes, or by `move`. Not published."""
        at = self.tail % RING
        self.poke(self._out + at, length | flags << 32)
        kept = data[: RING - at - 8]
        self.map[self._out + at + 8 : self._out + at + 8 + len(kept)] = kept
        self.tail += 8 + (length + 7 & ~7) if move is None else move

    def publish(self, tail: int | None = None) -> None:
        self.poke(self.out_lane + TAIL, self.tail if tail is None else tail)

    def send(self, frame: bytes, flags: int = 0, *, publish: bool = True) -> bool:
        """A frame, as a well-behaved end puts it; False if there is no room."""
        need, rest = 8 + (len(frame) + 7 & ~7), RING - self.tail % RING
        skip = rest if need > rest else 0
        if self.tail + skip + need - self.said_head > RING:
            return False
        if skip:
            self.record(0, SKIP, move=skip)
        self.record(len(frame), flags, frame)
        if publish:
            self.publish()
        return True

    def take(self) -> list[tuple[bytes, int]]:
        """Every frame that the port has put into its ring, and its flags."""
        found, tail = [], self.said_tail
        while self.head != tail:
            at = self.head % RING
            length, flags = struct.unpack_from("<II", self.map, self._in + at)
            if flags & SKIP:
                assert length == 0, "a skip has no length"
                self.head += RING - at
                continue
            assert at + 8 + length <= RING, "a frame straddles the end of the ring"
            found.append((self.map[self._in + at + 8 : self._in + at + 8 + length], flags))
            self.head += 8 + (length + 7 & ~7)
        self.poke(self.in_lane + HEAD, self.head)
        return found

    def close(self) -> None:
        if self.fd >= 0:
            self.socket.close()
            self.map.close()
            os.close(self.fd)
            self.fd = -1


def join(wire: PeerWire, *, first: bool = True) -> Raw:
    """A connection and memory for that wire, and its other end. first: of the wire."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.settimeout(TIMEOUT)
    fd = memory()
    try:
        raw = Raw(theirs, fd, not first)
        wire.connect(ours.detach(), fd, first)
    finally:
        os.close(fd)
    return raw


def step_until(engine, condition):
    deadline = time.monotonic() + TIMEOUT
    while not (result := condition()):
        assert time.monotonic() < deadline, "it never happened"
        engine.run(64)
    return result
