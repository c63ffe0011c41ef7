# SPDX-License-Identifier: BSD-3-Clause
"""A small driver for tests of the data path alone: it pokes registers and memory, slowly and without mercy."""

from __future__ import annotations

import ctypes
import struct
from dataclasses import dataclass
from typing import Any

from dataplane.memory.hugepage import Arena, Block
from dataplane.pmd.datasheet.registers.filters import FCTRL, RAH, RAL, RXCSUM
from dataplane.pmd.datasheet.registers.link import HLREG0, MAXFRS
from dataplane.pmd.datasheet.registers.rx import (
    DESCTYPE_ADVANCED,
    RDBAH,
    RDBAL,
    RDH,
    RDLEN,
    RDT,
    RXCTRL,
    RXDCTL,
    RXPBSIZE,
    SRRCTL,
)
from dataplane.pmd.datasheet.registers.stats import PAIRS
from dataplane.pmd.datasheet.registers.tx import DMATXCTL, TDBAH, TDBAL, TDH, TDLEN, TDT, TXDCTL
from dataplane.pmd.model.datapath.engine import Engine
from dataplane.pmd.model.interrupts.pf import Interrupts
from dataplane.pmd.model.netem.conditions import Netem
from dataplane.pmd.model.shared import Clock, RegisterFile
from dataplane.pmd.model.wire.port import PortWire
from dataplane.pmd.register import Register, RegisterRef

EOP, IFCS, RS, DEXT, VLE = 1 << 24, 1 << 25, 1 << 27, 1 << 29, 1 << 30
DATA, CONTEXT = 3 << 20, 2 << 20
DD = 1
MAC = bytes.fromhex("020000000001")
PEER = bytes.fromhex("020000000002")


@dataclass
class Received:
    """One frame as the descriptors tell it."""

    data: bytes
    info: int
    rss_hash: int
    status: int
    vlan: int
    descriptors: int


class Port:
    """An engine with its register file, and memory mapped for it."""

    def __init__(self, name: str, clock: Clock | None = None, size: int = 1 << 19) -> None:
        self.registers = RegisterFile()
        self.clock = clock or Clock(virtual=True)
        self.interrupts = Interrupts(self.registers, self.clock)
        self.engine = Engine(name, self.registers, self.interrupts, self.clock)
        self.arena = Arena(size, hugepages="no", name=name)
        self.engine.domain.map(self.arena.iova, self.arena.size, self.arena.address, owner=self.arena)
        self.write(HLREG0, HLREG0.resets)
        self.write(MAXFRS, MAXFRS.resets)
        self.write(DMATXCTL, 0x8100_0001)
        self.write(RXPBSIZE[0], 512 << 10)
        self.write(0x05088, 0x8100)  # VLNCTRL
        self.write(RXCSUM, 1 << 13)  # PCSD: the hash in the descriptor
        self.address(0, MAC)
        self.write(FCTRL, 1 << 10)  # BAM
        self.write(RXCTRL, 1)
        self.tx: dict[int, TxQueue] = {}
        self.rx: dict[int, RxQueue] = {}

    def write(self, register: Register | RegisterRef | int, value: int) -> None:
        """Store and decode."""
        self.engine.write(register if isinstance(register, int) else register.offset, value)

    def read(self, register: Register | RegisterRef) -> int:
        return int(self.registers.peek(register.offset))

    def clear(self, register: RegisterRef) -> int:
        """Read a statistic as a driver does: 36 bits where it has them, and it is 0 afterwards."""
        value = self.read(register)
        self.registers.poke(register.offset, 0)
        high = next((h for low, h in PAIRS.items() if low is register or low.name == register.name), None)
        if high is not None:
            value |= self.read(high) << 32
            self.registers.poke(high.offset, 0)
        return value

    def address(self, index: int, mac: bytes) -> None:
        """A receive address."""
        low, high = struct.unpack("<IH", mac)
        self.write(RAL[index], low)
        self.write(RAH[index], high | 1 << 31)

    def step(self, steps: int = 1) -> int:
        return sum(self.engine.run(64) for _ in range(steps))

    def tx_queue(self, index: int = 0, n: int = 64, **options: int) -> TxQueue:
        self.tx[index] = queue = TxQueue(self, index, n, **options)
        return queue

    def rx_queue(self, index: int = 0, n: int = 64, **options: int) -> RxQueue:
        self.rx[index] = queue = RxQueue(self, index, n, **options)
        return queue

    def violations(self) -> list[str]:
        return [text for _, _, _, text in self.engine.take_violations()]


def peek(block: Block, size: int, offset: int = 0) -> bytes:
    return ctypes.string_at(block.address + offset, size)


def poke(block: Block, data: bytes, offset: int = 0) -> None:
    ctypes.memmove(block.address + offset, data, len(data))


def pair(size: int = 1 << 19, *, elastic: bool = True, **netem: Any) -> tuple[Port, Port]:
    """Two ports with `size` bytes of memory each and a wire from `a` to `b`, which does that to frames."""
    clock = Clock(virtual=True)
    a, b = Port("a", clock, size), Port("b", clock, size)
    PortWire(a.engine, b.engine, Netem(**netem), elastic=elastic)
    return a, b


def carry(a: Port, b: Port, frames: list[bytes], queue: int = 0) -> list[Received]:
    """Send frames from a's queue 0 and take what b's queue got."""
    got: list[Received] = []
    for frame in frames:
        a.tx[0].send(frame)
        a.step()
        b.step()
        got += b.rx[queue].take()
    return got


class TxQueue:
    """A Tx descriptor ring, and memory for frames that is used round and round."""

    def __init__(self, port: Port, index: int, n: int, txdctl: int = 0, head_wb: int = 0) -> None:
        self.port, self.index, self.n, self.tail = port, index, n, 0
        self.ring = port.arena.alloc(n * 16, align=128)
        self.room = port.arena.alloc(min(n * 2048, 1 << 17), align=128)
        self.used = 0
        poke(self.ring, bytes(n * 16))
        port.write(TDBAL[index], self.ring.iova & 0xFFFFFFFF)
        port.write(TDBAH[index], self.ring.iova >> 32)
        port.write(TDLEN[index], n * 16)
        port.write(TDH[index], 0)
        port.write(TDT[index], 0)
        if head_wb:
            port.write(0x06038 + 0x40 * index, head_wb & 0xFFFFFFFF | 1)
            port.write(0x0603C + 0x40 * index, head_wb >> 32)
        port.write(TXDCTL[index], 1 << 25 | txdctl)

    def put(self, low: int, high: int) -> int:
        """One raw descriptor; the tail stays. Returns its index."""
        at = self.tail
        poke(self.ring, struct.pack("<QQ", low, high), at * 16)
        self.tail = (at + 1) % self.n
        return at

    def bell(self) -> None:
        self.port.registers.poke(TDT[self.index].offset, self.tail)

    def place(self, data: bytes) -> int:
        """Copy to the queue's memory; returns the IOVA."""
        if self.used + len(data) > self.room.size:
            self.used = 0
        at = self.used
        self.used += (len(data) + 63) & ~63
        poke(self.room, data, at)
        return self.room.iova + at

    def send(
        self, frame: bytes, pieces: int = 1, command: int = 0, upper: int = 0, ring_bell: bool = True
    ) -> None:
        """A frame by advanced data descriptors, in so many pieces of about equal size."""
        cut = [len(frame) * i // pieces for i in range(pieces + 1)]
        for i in range(pieces):
            piece = frame[cut[i] : cut[i + 1]]
            last = EOP | RS if i == pieces - 1 else 0
            lower = len(piece) | DATA | DEXT | IFCS | last | command
            self.put(self.place(piece), lower | (upper | len(frame) << 14) << 32)
        if ring_bell:
            self.bell()

    def context(
        self, mac: int, ip: int, *, tucmd: int = 0, vlan: int = 0, mss: int = 0, l4: int = 0, slot: int = 0
    ) -> None:
        """A context descriptor; lengths in bytes. tucmd: 2 IPv4, 4 TCP, 8 SCTP."""
        words = DEXT | CONTEXT | tucmd << 9 | (slot << 4 | l4 << 8 | mss << 16) << 32
        self.put(ip | mac << 9 | vlan << 16, words)

    def done(self, at: int) -> bool:
        return bool(peek(self.ring, 16, at * 16)[12] & 1)

    @property
    def head(self) -> int:
        return self.port.read(TDH[self.index])


class RxQueue:
    """An Rx descriptor ring with one buffer for each descriptor."""

    def __init__(
        self,
        port: Port,
        index: int,
        n: int,
        *,
        kib: int = 2,
        drop: int = 0,
        rxdctl: int = 0,
        kind: int = DESCTYPE_ADVANCED,
        give: int = -1,
    ) -> None:
        self.port, self.index, self.n, self.size, self.kind = port, index, n, kib << 10, kind
        self.next = self.tail = 0
        self.ring = port.arena.alloc(n * 16, align=128)
        self.room = port.arena.alloc(n * self.size, align=128)
        port.write(RDBAL[index], self.ring.iova & 0xFFFFFFFF)
        port.write(RDBAH[index], self.ring.iova >> 32)
        port.write(RDLEN[index], n * 16)
        port.write(RDH[index], 0)
        port.write(RDT[index], 0)
        port.write(SRRCTL[index], kib | drop << 28 | kind << 25)
        port.write(RXDCTL[index], 1 << 25 | rxdctl)
        self.give(n - 1 if give < 0 else give)

    def give(self, count: int) -> None:
        """Hand so many more descriptors to the NIC."""
        for _ in range(count):
            poke(self.ring, struct.pack("<QQ", self.room.iova + self.tail * self.size, 0), self.tail * 16)
            self.tail = (self.tail + 1) % self.n
        self.port.registers.poke(RDT[self.index].offset, self.tail)

    def raw(self, at: int) -> tuple[int, int]:
        low, high = struct.unpack("<QQ", peek(self.ring, 16, at * 16))
        return low, high

    def take(self, refill: bool = True) -> list[Received]:
        """Every whole frame that is there."""
        frames: list[Received] = []
        data, used, at = b"", 0, self.next
        while True:
            low, high = self.raw(at)
            done, eop = (high >> 32 & 1, high >> 33 & 1) if self.kind == 0 else (high & 1, high >> 1 & 1)
            if not done:
                break
            length = high & 0xFFFF if self.kind == 0 else high >> 32 & 0xFFFF
            data += peek(self.room, length, at * self.size)
            used, at = used + 1, (at + 1) % self.n
            if eop:
                status = high >> 32 & 0xFFFF if self.kind == 0 else high & 0xFFFFFFFF
                frames.append(Received(data, low & 0xFFFFFFFF, low >> 32, status, high >> 48, used))
                self.next = at
                # The next call must not see this one a second time, given back or not.
                for i in range(used):
                    poke(self.ring, bytes(16), ((at - 1 - i) % self.n) * 16)
                if refill:
                    self.give(used)
                data, used = b"", 0
        return frames


def frame(
    size: int, dst: bytes = MAC, src: bytes = PEER, etype: int = 0x88B5, fill: int | None = None
) -> bytes:
    """A frame of `size` bytes without FCS, with a payload that differs from byte to byte."""
    body = bytes((7 * i + 3) & 0xFF if fill is None else fill for i in range(max(size - 14, 0)))
    return (dst + src + etype.to_bytes(2, "big") + body)[:size]
