# SPDX-License-Identifier: BSD-3-Clause
"""A device other than the 82599, and its driver, which uses the bus floor alone.

The device is memory. Its registers have every width: a control byte, a 16-bit doorbell, a 32-bit register that reads all
ones when the device is gone, and a 64-bit address of its ring.
"""

from __future__ import annotations

import os
import struct

from dataplane.errors import DeviceError
from dataplane.memory.hugepage import Arena
from dataplane.pmd import pci
from dataplane.pmd.bus.card_function import WindowBar
from dataplane.pmd.bus.mmio import Window
from dataplane.pmd.function import Bar, ConfigSpace, Function, RegisterUse
from dataplane.pmd.portstring import PortString
from dataplane.pmd.register import Register, bit, bits
from dataplane.port import Port, PortInfo

VENDOR, DEVICE = 0x1AF4, 0x10F0
CONTROL, DOORBELL, ALIVE, RING = 0x00, 0x02, 0x04, 0x08
MODE = Register("MODE", 0x10, "toy 3.1", ENABLE=bit[0], SPEED=bits[9:8])
SIZE = 0x1000
USE = RegisterUse(presence=ALIVE, doorbells=frozenset({DOORBELL}))


class ToyConfig(ConfigSpace):
    """Configuration space with identifiers, and nothing else."""

    def __init__(self) -> None:
        self._bytes = bytearray(pci.HEADER_SIZE)
        struct.pack_into("<HH", self._bytes, pci.VENDOR_ID, VENDOR, DEVICE)

    def read(self, offset: int, length: int) -> bytes:
        return bytes(self._bytes[offset : offset + length])

    def write(self, offset: int, data: bytes) -> None:
        self._bytes[offset : offset + len(data)] = data


class ToyFunction(Function):
    """The device in a slot of its own: one BAR, as a card's is mapped."""

    def __init__(self, name: str) -> None:
        self.name, self.config = name, ToyConfig()
        self._fd = os.memfd_create(name)
        os.ftruncate(self._fd, SIZE)
        self._bar = WindowBar(name, Window(self._fd, 0, SIZE, name))
        self.mapped: list[Arena] = []

    def bar(self, index: int) -> Bar:
        if index:
            raise DeviceError(f"{self.name} has no BAR{index}")
        return self._bar

    def raw(self, offset: int, length: int) -> bytes:
        """Registers as the device itself sees them."""
        return os.pread(self._fd, length, offset)

    def pull(self) -> None:
        """The device is gone: every register reads all ones."""
        os.pwrite(self._fd, b"\xff" * SIZE, 0)

    def dma_map(self, arena: Arena) -> None:
        self.mapped.append(arena)

    def dma_unmap(self, arena: Arena) -> None:
        self.mapped.remove(arena)

    def reset(self) -> None:
        os.pwrite(self._fd, bytes(SIZE), 0)

    def close(self) -> None:
        if self._fd >= 0:
            self._bar.window.close()
            os.close(self._fd)
            self._fd = -1


class ToyPort(Port):
    """Its driver: `probe` finds it by vendor and device."""

    info = PortInfo("toy", max_rx_queues=0, max_tx_queues=0)

    def __init__(self, function: Function, spec: PortString) -> None:
        super().__init__(spec.text)
        spec.done()
        self.function, self.registers = function, function.bar(0)
        self.registers.describe(USE)
        self.registers.check()

    def _start(self) -> None:
        self._arena = Arena(4096, name=f"{self.name}-ring")
        self.function.dma_map(self._arena)
        self.registers.write64(RING, self._arena.iova)
        self.registers.write8(CONTROL, 0x81)
        self.registers.write16(DOORBELL, 7)
        self.registers.update(MODE, ENABLE=1, SPEED=2)
        self.registers.wait(MODE.ENABLE)

    def _stop(self) -> None:
        self.registers.write8(CONTROL, 0)
        self.function.dma_unmap(self._arena)
        self._arena.close()

    def _close(self) -> None:
        self.function.close()

    def xstats(self) -> dict[str, int]:
        self.registers.check()
        return {"tx_good_packets": self.registers.read16(DOORBELL)}
