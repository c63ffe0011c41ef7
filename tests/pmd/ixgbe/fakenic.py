# SPDX-License-Identifier: BSD-3-Clause
"""A bare 82599 for tests of the driver alone: registers that remember, a trace of accesses, descriptors moved by hand.

It knows only what a bring-up cannot do without, and judges nothing: the model does. Time passes only in `sleep`.
"""

from __future__ import annotations

import ctypes

from dataplane.pmd.datasheet import (
    ALL,
    CTRL,
    EEC,
    EERD,
    ESDP,
    LINKS,
    RC,
    RDBAH,
    RDBAL,
    RDH,
    RDLEN,
    RDRXCTL,
    RDT,
    SECRXCTRL,
    SECRXSTAT,
    STATUS,
    SWSM,
    TDBAH,
    TDBAL,
    TDH,
    TDLEN,
    TDT,
    decode,
    eeprom,
    pci,
)
from dataplane.pmd.datasheet.descriptors import (
    TXD_CMD_EOP,
    TXD_CMD_RS,
    RxRead,
    RxWriteback,
    TxContext,
    unpack_tx,
)
from dataplane.pmd.function import Bar, ConfigSpace, Function

MAC = bytes.fromhex("020000000a01")


def image() -> list[int]:
    """An EEPROM whose checksum is right, with one section."""
    words = [0] * 256
    words[eeprom.MAC0], words[0x80:0x83] = 0x80, [2, 0x1234, 0x5678]
    words[eeprom.CHECKSUM] = eeprom.checksum(words)
    return words


def _reset_words() -> list[int]:
    words = [0] * (pci.REGISTERS_SIZE // 4)
    for line in ALL:
        for n in range(line.count):
            words[line.address(n) // 4] = line[n].reset
    return words


_RESET = _reset_words()


class FakeBar(Bar):
    name = "fake0"

    def __init__(self):
        self.memory = (ctypes.c_uint32 * (pci.REGISTERS_SIZE // 4))()
        self.trace: list[tuple[str, str, int]] = []
        self.clock = 0.0
        self.words = image()
        self.stuck: dict[int, tuple[int, int]] = {}  # offset: (mask, value)
        self.gone = False
        self.power_up()

    def power_up(self):
        self.memory[:] = _RESET
        self[0x0A200] = int.from_bytes(MAC[:4], "little")
        self[0x0A204] = int.from_bytes(MAC[4:], "little") | 1 << 31
        self[EEC.offset] = EEC.pack(ARD=1, PRES=1, SIZE=2)
        self[RDRXCTL.offset] |= RDRXCTL.DMAIDONE.mask
        self[LINKS.offset] = LINKS.pack(UP=1, SPEED=3, LATCHED_UP=1)
        self[ESDP.offset] = ESDP.SDP2.mask

    def __getitem__(self, at):
        return self.memory[at // 4] if isinstance(at, int) else super().__getitem__(at)

    def __setitem__(self, offset, value):
        self.memory[offset // 4] = value

    def read32(self, offset):
        if self.gone:
            return 0xFFFF_FFFF
        value = self[offset]
        if offset == SWSM.offset:
            self[offset] = value | SWSM.SMBI.mask
        elif decode(offset) is not None and decode(offset).access is RC:
            self[offset] = 0
        mask, forced = self.stuck.get(offset, (0, 0))
        value = value & ~mask | forced & mask
        self.trace.append(("r", str(decode(offset).name), value))
        return value

    def write32(self, offset, value):
        self.trace.append(("w", str(decode(offset).name), value))
        if offset == CTRL.offset:
            if value & CTRL.RST.mask:
                self.power_up()
                return
            value &= ~CTRL.LRST.mask
        elif offset == EERD.offset:
            value = value & ~1 | EERD.DONE.mask | self.words[EERD.ADDR.extract(value)] << 16
        elif offset == SECRXCTRL.offset:
            self[SECRXSTAT.offset] = SECRXSTAT.pack(SECRX_RDY=SECRXCTRL.RX_DIS.extract(value))
        elif offset in (STATUS.offset, EEC.offset, LINKS.offset, SECRXSTAT.offset):
            return
        self[offset] = value

    def address(self, offset):
        return ctypes.addressof(self.memory) + offset

    def now(self):
        return self.clock

    def sleep(self, seconds):
        self.clock += seconds

    def unplug(self):
        self.gone = True
        ctypes.memset(self.memory, 0xFF, ctypes.sizeof(self.memory))


class FakeConfig(ConfigSpace):
    def __init__(self):
        self.data = bytearray(pci.SIZE)
        self.data[0:4] = (0x10FB_8086).to_bytes(4, "little")

    def read(self, offset, length):
        return bytes(self.data[offset : offset + length])

    def write(self, offset, data):
        self.data[offset : offset + len(data)] = data


class FakeFunction(Function):
    """The NIC: `receive` writes packets to Rx queue 0's memory, `transmit` takes them from Tx queue 0's."""

    name = "fake0"

    def __init__(self):
        self.config = FakeConfig()
        self.registers = FakeBar()
        self.arenas = []
        self.resets = self.closes = 0
        self.contexts = {}

    def bar(self, index):
        assert index == 0
        return self.registers

    def dma_map(self, arena):
        if arena not in self.arenas:
            self.arenas.append(arena)

    def dma_unmap(self, arena):
        self.arenas.remove(arena)

    def reset(self):
        self.resets += 1
        self.registers.power_up()

    def close(self):
        self.closes += 1

    # ---- the data path ----------------------------------------------------------------------------------------

    def host(self, iova):
        """The virtual address behind an IOVA; AssertionError if the driver did not map it."""
        for arena in self.arenas:
            if arena.iova <= iova < arena.iova + arena.size:
                return arena.address + iova - arena.iova
        raise AssertionError(f"IOVA {iova:#x} is not mapped")

    def _descriptor(self, low, high, index):
        bar = self.registers
        return self.host(bar[low.offset] | bar[high.offset] << 32) + 16 * index

    def receive(self, frame: bytes, buffer=2048, queue=0, **fields) -> bool:
        """Write one packet. False if there are too few descriptors; `fields` go to the last write-back."""
        bar = self.registers
        length = bar[RDLEN[queue].offset] // 16
        pieces = [frame[at : at + buffer] for at in range(0, len(frame), buffer)]
        head, tail = bar[RDH[queue].offset], bar[RDT[queue].offset]
        if (tail - head) % length < len(pieces):
            return False
        status = fields.pop("status", 0)
        for n, piece in enumerate(pieces):
            at = self._descriptor(RDBAL[queue], RDBAH[queue], head)
            read = RxRead.unpack(ctypes.string_at(at, 16))
            assert read.header == 0
            ctypes.memmove(self.host(read.packet), piece, len(piece))
            last = n == len(pieces) - 1
            written = RxWriteback(
                status=(status | 3 if last else 1), length=len(piece), **(fields if last else {})
            )
            ctypes.memmove(at, written.pack(), 16)
            head = (head + 1) % length
        bar[RDH[queue].offset] = head
        return True

    def transmit(self, most=1 << 30, queue=0):
        """Take frames from the Tx ring as (frame, last data descriptor, context or None); write DD where RS was set."""
        bar = self.registers
        length = bar[TDLEN[queue].offset] // 16
        head, tail = bar[TDH[queue].offset], bar[TDT[queue].offset]
        frames, parts = [], b""
        while head != tail and len(frames) < most:
            at = self._descriptor(TDBAL[queue], TDBAH[queue], head)
            raw = ctypes.string_at(at, 16)
            descriptor = unpack_tx(raw)
            if isinstance(descriptor, TxContext):
                self.contexts[descriptor.context] = descriptor
            else:
                assert descriptor.length, "a data descriptor of 0 bytes"
                parts += ctypes.string_at(self.host(descriptor.address), descriptor.length)
                if descriptor.command & TXD_CMD_EOP:
                    uses = descriptor.options or descriptor.command & ~(TXD_CMD_EOP | TXD_CMD_RS | 1 << 25)
                    frames.append(
                        (parts, descriptor, self.contexts.get(descriptor.context) if uses else None)
                    )
                    parts = b""
                if descriptor.command & TXD_CMD_RS:
                    ctypes.c_uint32.from_address(at + 12).value |= 1
            head = (head + 1) % length
        assert not parts, "the tail stands in the middle of a packet"
        bar[TDH[queue].offset] = head
        return frames
