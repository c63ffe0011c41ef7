# SPDX-License-Identifier: BSD-3-Clause
"""The other functions of a besieged card: each with memory of its own, watched byte by byte, and a ledger of their frames.

Bytes tell who has seen what. A member fills all memory that it does not use with runs of its *secret* (0xE0 + number), and
the body of a frame for one receiver with runs of that receiver's *mark* (0xC0 + number). The hostile one has neither in
its memory; a run of eight that turns up in its memory, or in a frame that no member has sent, was read where it must not.
"""

from __future__ import annotations

import ctypes
import re
from collections import Counter

from dataplane.byhand import receive, send
from dataplane.memory.hugepage import Arena, Block
from dataplane.mempool import Mempool
from dataplane.port import Port, parse_mac

__all__ = ["ETYPE", "STOLEN", "Ledger", "Member"]

MBUFS = 768
MBUF = 128 + 128 + 2048  # header, headroom, data
FENCE = 1 << 16  # bytes of canary before and behind the pool
SECRET, MARK = 0xE0, 0xC0
STOLEN = re.compile(rb"([\xc0-\xef])\1{7}")
ETYPE = b"\x88\xb5"
ALL = b"\xff" * 6


class Member:
    """A function that minds its own business: its port, its memory. number: tells its bytes from those of others."""

    def __init__(self, name: str, number: int) -> None:
        self.name, self.number = name, number
        self.arena = Arena(2 * FENCE + (1 << 21), hugepages="no", name=name)
        self.front = self.arena.alloc(FENCE, align=4096, name="front")
        self.pool = Mempool(MBUFS, arena=self.arena, name=name)
        self.back = self.arena.alloc(FENCE, align=4096, name="back")
        self._guarded: list[tuple[int, bytes]] = []
        self._held = self.pool.take(MBUFS)
        for address in self._held:
            ctypes.memset(address + 128, SECRET + number, MBUF - 128)
        self.pool.give([address for n, address in enumerate(self._held) if n % 4])
        self._live = self._held[1]
        self._held = self._held[::4]  # canaries between the mbufs that are in use
        for address in self._held:
            self._guard(address, MBUF)
        for block in (self.front, self.back):
            self._fill(block)
        self.port: Port

    def use(self, port: Port, *, fenced: bool = True) -> None:
        """Its port, which receives into this memory; started here. fenced: it stays so, and its rings are watched."""
        self.port = port
        port.configure(mempool=self.pool, rx_desc=512, tx_desc=64)
        port.rx(0), port.tx(0)
        port.start()
        if not fenced:
            return
        rings: Arena = port._rings  # type: ignore[attr-defined]
        self._fill(rings.alloc(1024, name="behind the rings"))  # two rings are 9 KiB of three pages

    def _fill(self, block: Block) -> None:
        ctypes.memset(block.address, SECRET + self.number, block.size)
        self._guard(block.address, block.size)

    def _guard(self, address: int, size: int) -> None:
        self._guarded.append((address, ctypes.string_at(address, size)))

    @property
    def mac(self) -> bytes:
        return parse_mac(self.port.mac)

    def targets(self) -> list[int]:
        """IOVAs and addresses that an attacker would aim at."""
        rings: Arena = self.port._rings  # type: ignore[attr-defined]
        places = [
            self.front.address,
            self.back.address,
            self._held[0],
            self._held[99],
            self._live + 256,
        ]
        return [
            *map(self.arena.iova_of, places),
            rings.iova,
            rings.iova + (9 << 10),
            self.front.address,
            rings.address,
        ]

    def unharmed(self) -> None:
        """AssertionError if a guarded byte has changed."""
        for address, before in self._guarded:
            now = ctypes.string_at(address, len(before))
            if now != before:
                at = next(n for n in range(len(before)) if now[n] != before[n])
                raise AssertionError(
                    f"{self.name}: byte {at} of what lies at {address:#x} was changed: {now[at : at + 16].hex()}"
                )

    def close(self) -> None:
        self.port.close()
        self.pool.give(self._held)
        assert self.pool.in_use == 0, f"{self.pool!r}: mbufs are missing"


class Ledger:
    """The frames that members have sent each other and not yet received."""

    def __init__(self) -> None:
        self.sent = 0
        self.arrived = 0
        self.foreign = 0  # frames of the hostile one, which it may send
        self._due: Counter[tuple[int, bytes]] = Counter()
        self._since: dict[bytes, float] = {}
        self.slowest = 0.0  # seconds by the card's clock
        self._excused: set[tuple[int, bytes]] = set()  # may be lost: the receiver was reset
        self.uplinks: tuple[
            Member, ...
        ] = ()  # members that may get the frames for one in reset: no function has its address then
        self.strays = 0
        self.replays = (
            False  # whether the hostile one may send again, as it is, a broadcast that it has received
        )

    def send(self, origin: Member, to: list[Member], now: float, size: int = 60) -> bool:
        """One frame from `origin`: to one member, or to all of `to` as a broadcast. False: its ring has no room."""
        alone = len(to) == 1
        head = (to[0].mac if alone else ALL) + origin.mac + ETYPE
        body = self.sent.to_bytes(6, "big") + bytes([origin.number])
        frame = head + body + bytes([MARK + to[0].number if alone else 0x2A]) * (size - len(head) - len(body))
        if not send(origin.port.tx(0), [frame]):
            return False
        self.sent += 1
        self._since[frame] = now
        for member in to:
            self._due[member.number, frame] += 1
        return True

    def receive(self, member: Member, now: float) -> int:
        """Take what has come to a member: due to it and unaltered, or of the hostile one and with nothing stolen in it."""
        count = 0
        while not member.port.closed and (frames := receive(member.port.rx(0), 32)):
            count += len(frames)
            for frame in frames:
                if self._due.get((member.number, frame)):
                    self._due[member.number, frame] -= 1
                    if not self._due[member.number, frame]:
                        del self._due[member.number, frame]
                    self.arrived += 1
                    self.slowest = max(self.slowest, now - self._since[frame])
                elif (member.number, frame) in self._excused:
                    self._excused.remove((member.number, frame))
                elif member in self.uplinks and any((n, frame) in self._excused for n in range(16)):
                    self.strays += 1
                elif self.replays and frame in self._since and frame.startswith(ALL):
                    self.foreign += 1
                elif frame in self._since:
                    raise AssertionError(
                        f"{member.name} got a frame that was not for it, or twice: {frame[:40].hex()}"
                    )
                elif found := STOLEN.search(frame):
                    raise AssertionError(
                        f"{member.name} got a frame with bytes of another's memory, {found[0].hex()}: {frame.hex()}"
                    )
                else:
                    self.foreign += 1
        return count

    def excuse(self, member: Member) -> None:
        """Frames due to a member may be lost, because it is reset; they may still reach that member, but no other one."""
        for number, frame in list(self._due):
            if number == member.number:
                del self._due[number, frame]
                self._excused.add((number, frame))

    def settle(self, now: float, patience: float) -> None:
        """AssertionError if something has been due for more than `patience` s; what is over is forgotten."""
        due = {frame for _, frame in self._due}
        late = [frame for frame in due if now - self._since[frame] > patience]
        assert not late, (
            f"{len(late)} frames have not arrived after {patience:g} s, the first: {late[0][:40].hex()}"
        )
        self._since = {frame: at for frame, at in self._since.items() if frame in due or now - at < patience}
