# SPDX-License-Identifier: BSD-3-Clause
"""A hostile client, as steps that hypothesis makes up, shortens and shows."""

from __future__ import annotations

import contextlib
import mmap
import os
import select
import socket
import struct
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from rawclient import TIMEOUT, RawClient, memory

from dataplane.pmd.datasheet import (
    DMATXCTL,
    HLREG0,
    RDBAL,
    RDLEN,
    RDT,
    RXCTRL,
    RXDCTL,
    SRRCTL,
    TDBAL,
    TDLEN,
    TDT,
    TXDCTL,
)
from dataplane.pmd.vfio_user.framing import Hangup
from dataplane.pmd.vfio_user.messages import BODIES, Command, Malformed, MessageHeader, RegionInfo

__all__ = ["ARENA", "IOVA", "STEPS", "Attacker"]

IOVA, ARENA = 0x4000_0000, 0x20000
EDGES = (
    0,
    1,
    2,
    3,
    4,
    7,
    8,
    0x40,
    0x1000,
    0x7FFF_FFFF,
    0xFFFF_FFFF,
    IOVA,
    IOVA + 0x1000,
    1 << 40,
    (1 << 64) - 1,
)
MEMORY = ("memfd", "small", "sealed", "huge hole")
WRONG = ("pipe", "socket", "folder", "program", "null", "epoll", "itself")


def number(bits: int) -> st.SearchStrategy[int]:
    most = (1 << bits) - 1
    return st.sampled_from([edge & most for edge in EDGES]) | st.integers(0, 64) | st.integers(0, most)


def _body(command: int) -> st.SearchStrategy[bytes]:
    """The struct that belongs there with any values, and something behind it; or any bytes."""
    if command not in BODIES:
        return st.binary(max_size=40)
    letters = BODIES[command].LAYOUT.format.lstrip("<")
    values = st.tuples(*(number(8 * struct.calcsize(letter)) for letter in letters))
    packed = values.map(lambda made: struct.pack("<" + letters, *made))
    whole = st.tuples(packed, st.binary(max_size=24)).map(b"".join)
    return whole | st.tuples(whole, st.integers(0, 40)).map(lambda cut: cut[0][: cut[1]])


FDS = st.lists(st.sampled_from(["eventfd", "full eventfd", *MEMORY, *WRONG]), max_size=4)
COMMANDS = st.sampled_from([int(each) for each in Command]) | st.integers(0, 0xFFFF)
SAY = COMMANDS.flatmap(
    lambda command: st.tuples(st.just("say"), st.just(command), _body(command), FDS, st.booleans())
)
LIE = st.tuples(st.just("lie"), st.binary(max_size=16), number(32), number(32), number(32), FDS)
ACCESS = st.tuples(
    st.just("access"),
    st.sampled_from([9, 10]),
    st.integers(0, 9),
    number(64),
    number(32),
    st.binary(max_size=16),
)
STEPS = st.lists(
    SAY
    | LIE
    | ACCESS
    | st.tuples(st.just("garbage"), st.binary(min_size=1, max_size=100))
    | st.tuples(st.just("map"), st.sampled_from(MEMORY), number(64), number(64))
    | st.tuples(st.just("unmap"), number(64), number(64))
    | st.tuples(st.just("irqs"), st.integers(0, 63), number(32), number(32), number(32), FDS)
    | st.tuples(st.just("register"), st.integers(0, 0x7FFF), number(32))
    | st.tuples(st.just("config"), st.integers(0, 1023), number(32))
    | st.tuples(
        st.just("arm"), st.integers(0, 3), st.lists(st.tuples(number(64), number(64)), max_size=8), number(32)
    )
    | st.tuples(st.just("ring"), st.integers(0, 3), number(32))
    | st.sampled_from([("cut short",), ("reset",), ("hang up",), ("deaf",), ("take fds",)]),
    min_size=1,
    max_size=25,
)


class Attacker:
    """Uses one function's socket. It closes every descriptor that it opens, so that those left are the server's."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.client: RawClient | None = None
        self._arena = memory(ARENA)
        self._view = mmap.mmap(self._arena, ARENA)
        self._bells: mmap.mmap | None = None

    def do(self, step: tuple[Any, ...]) -> None:
        """A step. That the server cuts us off, or does not take us, is its right."""
        kind, *values = step
        try:
            if self.client is None:
                self._connect()
            getattr(self, "_" + kind.replace(" ", "_"))(*values)
        except (Hangup, ConnectionError, Malformed, BlockingIOError, TimeoutError):
            self._hang_up()

    def close(self) -> None:
        self._hang_up()
        self._view.close()
        os.close(self._arena)

    # ---- steps ------------------------------------------------------------------------------------------------

    def _say(self, command: int, body: bytes, kinds: list[str], no_reply: bool) -> None:
        fds = [_open(kind) for kind in kinds]
        try:
            if no_reply:
                self._now.send(command, body, fds, no_reply=True)
            else:
                self._now.ask(command, body, fds).close()
        finally:
            for fd in fds:
                os.close(fd)

    def _lie(self, body: bytes, size: int, flags: int, command: int, kinds: list[str]) -> None:
        fds = [_open(kind) for kind in kinds]
        try:
            self._now.raw(MessageHeader(7, command & 0xFFFF, size, flags, 0).pack() + body, fds)
        finally:
            for fd in fds:
                os.close(fd)
        self._out_of_step()

    def _access(self, command: int, region: int, offset: int, count: int, data: bytes) -> None:
        self._now.ask(command, struct.pack("<QII", offset, region, count) + data).close()

    def _garbage(self, data: bytes) -> None:
        self._now.raw(data)
        self._out_of_step()

    def _map(self, kind: str, iova: int, offset: int) -> None:
        fd = _open(kind)
        try:
            self._now.map(iova, 0x1000, fd, offset=offset & ~0xFFF)
        finally:
            os.close(fd)

    def _unmap(self, iova: int, size: int) -> None:
        self._now.unmap(iova, size)

    def _irqs(self, flags: int, index: int, start: int, count: int, kinds: list[str]) -> None:
        fds = [_open(kind) for kind in kinds]
        try:
            self._now.irqs(flags, index & 3, start, count, fds)
        finally:
            for fd in fds:
                os.close(fd)

    def _register(self, word: int, value: int) -> None:
        self._now.write(0, word * 4, value)

    def _config(self, word: int, value: int) -> None:
        self._now.write(7, word * 4, value)

    def _arm(self, queue: int, descriptors: list[tuple[int, int]], tail: int) -> None:
        """Queues on, with descriptors that lead anywhere: to IOVAs where others have their memory, among the rest."""
        client = self._now
        client.map(IOVA, ARENA, self._arena)
        for n, (address, rest) in enumerate(descriptors):
            struct.pack_into("<QQ", self._view, n * 16, address, rest)
            struct.pack_into("<QQ", self._view, 0x8000 + n * 16, IOVA + 0x10000, rest)
        client.write(0, HLREG0.offset, HLREG0.reset)
        client.write(0, DMATXCTL.offset, 1)
        client.write(0, RXCTRL.offset, 1)
        for base, length, control, tails, at in (
            (RDBAL, RDLEN, RXDCTL, RDT, IOVA),
            (TDBAL, TDLEN, TXDCTL, TDT, IOVA + 0x8000),
        ):
            client.write(0, base[queue].offset, at)
            client.write(0, length[queue].offset, 128)
            client.write(0, SRRCTL[queue].offset, 0x0200_0002)
            client.write(0, control[queue].offset, 1 << 25)
            client.write(0, tails[queue].offset, tail)

    def _ring(self, queue: int, tail: int) -> None:
        """Tails by the page that the server gives away."""
        if self._bells is None:
            with self._now.ask(Command.GET_REGION_INFO, RegionInfo(256, 0, 9, 0, 0, 0).pack()) as reply:
                if not reply.descriptors:
                    return
                with contextlib.suppress(OSError):
                    os.truncate(reply.descriptors[0], 0)
                self._bells = mmap.mmap(reply.descriptors[0], RegionInfo.unpack(reply.body).length)
        struct.pack_into("<I", self._bells, 0x1018 + 0x40 * queue, tail)
        struct.pack_into("<I", self._bells, len(self._bells) // 2 - 4, tail)

    def _cut_short(self) -> None:
        """The memory that the device may be using goes, and comes back as another."""
        os.truncate(self._arena, 0)
        self._view.close()
        os.close(self._arena)
        self._arena = memory(ARENA)
        self._view = mmap.mmap(self._arena, ARENA)

    def _reset(self) -> None:
        self._now.ask(Command.RESET).close()

    def _deaf(self) -> None:
        """Asks and asks, and takes no answer."""
        self._now.socket.setblocking(False)
        for _ in range(2000):
            self._now.send(Command.REGION_READ, struct.pack("<QII", 0, 7, 4096))

    def _take_fds(self) -> None:
        """As many descriptors as a message can have, in one that needs none."""
        self._now.ask(Command.GET_INFO, bytes(16), [self._arena] * 253).close()

    def _hang_up(self) -> None:
        if self._bells is not None:
            self._bells.close()
            self._bells = None
        if self.client is not None:
            self.client.close()
            self.client = None

    # ---- in detail --------------------------------------------------------------------------------------------

    def _out_of_step(self) -> None:
        """The server may be waiting for the rest of a message, and may take the next bytes for it."""
        self._now.socket.settimeout(0.02)
        self._now.answer().close()
        self._now.send(Command.RESET)
        self._now.answer().close()
        self._now.socket.settimeout(TIMEOUT)

    @property
    def _now(self) -> RawClient:
        assert self.client is not None
        return self.client

    def _connect(self) -> None:
        self.client = RawClient(self.path)
        self.client.enable()


def _open(kind: str) -> int:
    """A descriptor of that kind; the caller closes it."""
    if kind == "eventfd":
        return os.eventfd(0)
    if kind == "full eventfd":
        return os.eventfd((1 << 32) - 1)
    if kind == "memfd":
        return memory(0x20000)
    if kind == "small":
        return memory(0x800)
    if kind == "sealed":
        return os.memfd_create("sealed", os.MFD_ALLOW_SEALING)
    if kind == "huge hole":
        return memory(1 << 42)
    if kind == "pipe":
        reader, writer = os.pipe()
        os.close(reader)
        return writer
    if kind == "socket":
        return socket.socket(socket.AF_UNIX).detach()
    if kind == "epoll":
        with select.epoll() as epoll:
            return os.dup(epoll.fileno())
    path = {"folder": "/", "program": os.__file__, "null": "/dev/null", "itself": "/proc/self/mem"}[kind]
    return os.open(path, os.O_RDONLY)
