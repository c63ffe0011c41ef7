# SPDX-License-Identifier: BSD-3-Clause
"""Hostile clients as programs of their own: `python hostiles.py ATTACK SOCKET SECONDS SEED [MESSAGES]`.

Each does one thing that has hurt a server once, as fast as it can, until its time is over; the fuzzer until it has sent its
messages, too. The server may cut them off. They print how often they did it.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import random
import resource
import socket
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

from rawclient import RawClient, memory

from dataplane.pmd.datasheet import DMATXCTL, TDBAL, TDLEN, TDT, TXDCTL
from dataplane.pmd.vfio_user.framing import Hangup
from dataplane.pmd.vfio_user.messages import (
    BODIES,
    Command,
    DmaMap,
    IrqSet,
    MessageHeader,
    RegionAccess,
    RegionFlags,
    RegionInfo,
)

IOVA = 0x4000_0000
Attack = Callable[[Path, random.Random], int]


def posted_writes(path: Path, dice: random.Random) -> int:
    """Writes to registers that want no reply, as a guest makes them that writes a tail in each turn of a busy loop."""
    with RawClient(path) as client:
        client.enable()
        body = RegionAccess(0x1018, 0, 4).pack() + bytes(4)
        message = MessageHeader.of_command(1, Command.REGION_WRITE, len(body), True).pack() + body
        for _ in range(50):
            client.socket.sendall(message * 64)
        return 3200


def long_writes(path: Path, dice: random.Random) -> int:
    """Writes of 16 KiB to registers: each is 4096 of them."""
    with RawClient(path) as client:
        client.enable()
        body = RegionAccess(0, 0, 16384).pack() + bytes(16384)
        message = MessageHeader.of_command(1, Command.REGION_WRITE, len(body), True).pack() + body
        for _ in range(50):
            client.socket.sendall(message)
        return 50


def full_eventfds(path: Path, dice: random.Random) -> int:
    """Eventfds that are filled while they are signalled, by request and by the card."""
    fds = [os.eventfd(0) for _ in range(3)]
    with RawClient(path) as client:
        client.enable()
        client.irqs(IrqSet.EVENTFD | IrqSet.TRIGGER, 2, 0, 3, fds)
        body = struct.pack("<IIIII", 20, IrqSet.NONE | IrqSet.TRIGGER, 2, 0, 3)
        message = MessageHeader.of_command(1, Command.SET_IRQS, len(body), True).pack() + body
        for _ in range(100):
            for fd in fds:
                os.set_blocking(fd, False)
                with contextlib.suppress(BlockingIOError):
                    os.eventfd_read(fd)
                with contextlib.suppress(BlockingIOError):
                    os.eventfd_write(fd, (1 << 64) - 2)
                os.set_blocking(fd, True)
            client.socket.sendall(message * 16)
    for fd in fds:
        os.close(fd)
    return 1600


def maps(path: Path, dice: random.Random) -> int:
    """Maps of a file with terabytes of nothing, and as many small ones as there may be; all unmapped at once."""
    hole, small = memory(1 << 42), memory(0x2000)
    try:
        with RawClient(path) as client:
            client.enable()
            for n in range(1, 32):
                client.map(n << 42, 1 << dice.choice((34, 36, 42)), hole)
            for n in range(2000):
                client.map(n << 13, 0x1000, small, offset=n % 2 << 12)
            client.unmap(0, 0, flags=2)
    finally:
        os.close(hole)
        os.close(small)
    return 2032


def hugepages(path: Path, dice: random.Random) -> int:
    """Parts of a hugepage, mapped and unmapped, if there are any."""
    fd = os.memfd_create("huge", 0x4 | 21 << 26)
    try:
        os.truncate(fd, 2 << 20)
        with RawClient(path) as client:
            client.enable()
            for _ in range(100):
                client.map(IOVA, 0x1000, fd)
                client.unmap(IOVA, 0x1000)
    finally:
        os.close(fd)
    return 200


def half_messages(path: Path, dice: random.Random) -> int:
    """Descriptors that come along with messages which never end."""
    fds = [os.eventfd(0) for _ in range(50)]
    try:
        with RawClient(path) as client:
            client.agree()
            for n in range(8):
                client.raw(
                    bytes(1) if n else MessageHeader(1, 2, 4096, 0, 0).pack(), fds * dice.randint(1, 5)
                )
    finally:
        for fd in fds:
            os.close(fd)
    return 8


def comings(path: Path, dice: random.Random) -> int:
    """Connects, says something or nothing, and hangs up."""
    for n in range(20):
        with RawClient(path) as client:
            if n % 2:
                client.agree()
    return 20


def lingering(path: Path, dice: random.Random) -> int:
    """Sockets whose close waits for a reader that never reads."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
        near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 3))
        near.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                near.send(bytes(1 << 16))
        with far, RawClient(path) as client:
            client.enable()
            client.send(Command.GET_INFO, bytes(16), [near.fileno()])
            near.close()
            client.answer().close()
            time.sleep(0.2)
    return 1


def cut_short(path: Path, dice: random.Random) -> int:
    """Memory that goes while the device reads it."""
    fd = memory(0x20000)
    with RawClient(path) as client:
        client.enable()
        client.map(IOVA, 0x20000, fd)
        for register, value in (
            (DMATXCTL, 1),
            (TDBAL[0], IOVA),
            (TDLEN[0], 0x8000),
            (TXDCTL[0], 1 << 25),
        ):
            client.write(0, register.offset, value)
        os.truncate(fd, 0)
        os.close(fd)
        for n in range(1, 200):
            client.write(0, TDT[0].offset, n)
    return 1


def scribbled_tails(path: Path, dice: random.Random) -> int:
    """Tails in the page that the server gives away, all of them, at random."""
    with RawClient(path) as client:
        client.enable()
        with client.ask(Command.GET_REGION_INFO, RegionInfo(256, 0, 9, 0, 0, 0).pack()) as reply:
            size = RegionInfo.unpack(reply.body).length
            with mmap.mmap(reply.descriptors[0], size) as bells:
                for _ in range(50):
                    for at in range(0, size - 4, 64):
                        struct.pack_into("<I", bells, at + 0x18, dice.getrandbits(32))
                    client.read(0, 8)
    return 50


def rung_bells(path: Path, dice: random.Random) -> int:
    """The eventfd that wakes a card that rests: signalled, filled and emptied in a loop, and its word scribbled over."""
    with RawClient(path) as client:
        client.enable()
        ask = RegionInfo(256, RegionFlags.WAKES, 9, 0, 0, 0)
        with client.ask(Command.GET_REGION_INFO, ask.pack()) as reply:
            size = RegionInfo.unpack(reply.body).length
            fd, bell = reply.descriptors
            with mmap.mmap(fd, size) as bells:
                for n in range(500):
                    os.set_blocking(bell, bool(n % 2))
                    os.eventfd_read(bell) if n % 2 else os.eventfd_write(
                        bell, dice.choice((1, (1 << 64) - 2))
                    )
                    struct.pack_into("<I", bells, size - 0x1000, dice.getrandbits(1))
    return 500


class Fuzzer:
    """Messages with any values, whole or cut, with any descriptors."""

    def __init__(self) -> None:
        self.said = 0

    def __call__(self, path: Path, dice: random.Random) -> int:
        fds = [os.eventfd(0), memory(0x20000), memory(1 << 40), os.open("/dev/null", os.O_RDWR)]
        before = self.said
        try:
            with RawClient(path) as client:
                client.socket.settimeout(0.2)
                client.enable()
                for _ in range(200):
                    self._say(client, dice, fds)
        finally:
            for fd in fds:
                os.close(fd)
        return self.said - before

    def _say(self, client: RawClient, dice: random.Random, fds: list[int]) -> None:
        kind = dice.random()
        number = lambda bits: dice.choice((0, 1, 4, 0x40, IOVA, (1 << bits) - 1, dice.getrandbits(bits)))  # noqa: E731
        self.said += 1
        if kind < 0.02:
            client.raw(dice.randbytes(dice.randint(1, 64)), dice.sample(fds, dice.randint(0, 3)))
            return
        command = dice.choice((*BODIES, Command.VERSION, Command.RESET, dice.getrandbits(16)))
        if command in BODIES:
            letters = BODIES[command].LAYOUT.format.lstrip("<")
            values = [
                number(8 * struct.calcsize(letter)) & (1 << 8 * struct.calcsize(letter)) - 1
                for letter in letters
            ]
            body = struct.pack("<" + letters, *values)
        else:
            body = dice.randbytes(dice.randint(0, 40))
        if kind < 0.2:
            body = DmaMap(32, dice.randint(0, 7), number(20) << 12, number(64), number(44)).pack()
            command = Command.DMA_MAP
        elif kind < 0.6:
            data = dice.randbytes(dice.choice((0, 4, 4, 4, 64, 300)))
            body = (
                RegionAccess(dice.randrange(0, 0x20000, 4), dice.choice((0, 0, 2, 4, 7, 9)), len(data)).pack()
                + data
            )
            command = Command.REGION_WRITE
        body += dice.randbytes(dice.choice((0, 0, 0, 8)))
        sent = [] if kind < 0.5 else dice.sample(fds, dice.choice((0, 1, 1, 2)))
        no_reply = dice.random() < 0.5
        client.send(command, body, sent, no_reply=no_reply)
        if not no_reply:
            client.answer().close()


ATTACKS: dict[str, Attack] = {
    each.__name__: each
    for each in (
        posted_writes, long_writes, full_eventfds, maps, hugepages, half_messages, comings, lingering, cut_short,
        scribbled_tails, rung_bells,
    )
}  # fmt: skip


def main(name: str, path: str, seconds: float, seed: int, messages: int = 0) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    attack, dice, done, turns = ATTACKS.get(name) or Fuzzer(), random.Random(seed), 0, 0
    print(name, "begins", flush=True)
    end = time.monotonic() + seconds
    while time.monotonic() < end or done < messages:
        turns += 1
        try:
            done += attack(Path(path), dice)
        except (Hangup, OSError, AssertionError):
            done += 1 if not isinstance(attack, Fuzzer) else 0
            time.sleep(0.001)
        if isinstance(attack, Fuzzer):
            done = attack.said
    print(name, done, turns)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4]), *map(int, sys.argv[5:]))
