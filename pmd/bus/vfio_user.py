# SPDX-License-Identifier: BSD-3-Clause
"""A NIC in another process as a bus: ``vfio-user:/run/nic/pf0.sock``, one of its VFs: ``vfio-user:/run/nic/pf0.vf3.sock``.

Registers are messages. What the data path touches is memory that both processes have: descriptors, packets, and the tails of
queues if the server offers its doorbells; else a thread looks at the tails and passes them on (`pmd/bus/doorbells.py`).
"""

from __future__ import annotations

import ctypes
import re
import time
from contextlib import suppress
from itertools import pairwise
from mmap import PAGESIZE

from dataplane.errors import DeviceError, DeviceGone
from dataplane.memory.hugepage import Arena
from dataplane.pmd import pci
from dataplane.pmd.bus.doorbells import Tails, tails_of
from dataplane.pmd.function import ALL_ONES, Bar, ConfigSpace, Function, RegisterUse, Waker
from dataplane.pmd.portstring import PortString
from dataplane.pmd.vfio_user.client import Connection
from dataplane.pmd.vfio_user.messages import (
    Command,
    DeviceInfo,
    DmaFlags,
    DmaMap,
    DmaUnmap,
    IrqInfo,
    IrqKind,
    IrqSet,
    Region,
    RegionAccess,
    RegionInfo,
    SetIrqs,
)

__all__ = ["VfioUserBar", "VfioUserConfig", "VfioUserFunction", "open_function"]

VF_WAIT = 5  # seconds that opening a VF waits for its PF


class VfioUserBar(Bar):
    """A BAR behind messages. A write has had its effect when `write32` returns: no doorbell can overtake it.

    regions: how many the server has. A register that a read changes is never asked twice: when its answer comes too late
    (DeviceTimeout), the next read of that register takes that answer, so nothing that was counted is lost with it.
    """

    remote = True

    def __init__(self, connection: Connection, index: int, size: int, regions: int) -> None:
        self.name, self._connection, self._index, self._size = connection.name, connection, index, size
        self._regions = regions
        self.presence = ctypes.c_uint32(0)  # all ones when the server is gone, for who polls memory
        self.tails: Tails | None = None

    def describe(self, registers: RegisterUse) -> None:
        """Tell the bus which registers have a part in how it works. Raises DeviceError if its doorbells are damaged."""
        super().describe(registers)
        if self.tails is not None:
            self.tails.close()
        self.tails = tails_of(self, self._connection, self._regions) if registers.doorbells else None

    def read32(self, offset: int) -> int:
        """The register at a byte offset. Raises DeviceGone when the server is gone, DeviceTimeout when it is silent."""
        return self._read(offset, 4)

    def write32(self, offset: int, value: int) -> None:
        """Write the register at a byte offset. Raises DeviceGone when the server is gone."""
        if self.tails is not None:
            self.tails.will_write(offset, value)
        self._write(offset, value, 4)

    def read8(self, offset: int) -> int:
        """The byte at an offset. Raises DeviceGone, DeviceTimeout."""
        return self._read(offset, 1)

    def read16(self, offset: int) -> int:
        """The 16-bit register at a byte offset. Raises DeviceGone, DeviceTimeout."""
        return self._read(offset, 2)

    def read64(self, offset: int) -> int:
        """The 64-bit register at a byte offset. Raises DeviceGone, DeviceTimeout."""
        return self._read(offset, 8)

    def write8(self, offset: int, value: int) -> None:
        """Write the byte at an offset. Raises DeviceGone."""
        self._write(offset, value, 1)

    def write16(self, offset: int, value: int) -> None:
        """Write the 16-bit register at a byte offset. Raises DeviceGone."""
        self._write(offset, value, 2)

    def write64(self, offset: int, value: int) -> None:
        """Write the 64-bit register at a byte offset. Raises DeviceGone."""
        self._write(offset, value, 8)

    def _read(self, offset: int, size: int) -> int:
        once = (self._index, offset) if offset in self.registers.once else None
        body = self._access(offset, size).pack()
        with self._connection.request(Command.REGION_READ, body, once=once) as reply:
            return int.from_bytes(reply.body[RegionAccess.struct_size() :][:size], "little")

    def _write(self, offset: int, value: int, size: int) -> None:
        body = self._access(offset, size).pack() + value.to_bytes(size, "little")
        self._connection.request(Command.REGION_WRITE, body).close()

    def address(self, offset: int) -> int:
        """Where a doorbell is in memory; for `presence`, a word that is all ones when the server is gone."""
        if offset == self.registers.presence:
            return ctypes.addressof(self.presence)
        if self.tails is None:
            raise DeviceError(f"{self.name}: BAR{self._index} has no registers that could be mapped")
        return self.tails.address(offset)

    def waker(self) -> Waker | None:
        """How to wake the server after a tail was written; None: the server offers no doorbells, or does not rest."""
        return self.tails.waker if self.tails is not None else None

    def _access(self, offset: int, size: int) -> RegionAccess:
        if not 0 <= offset <= self._size - size:
            raise DeviceError(f"{self.name}: BAR{self._index} has {self._size:#x} bytes, none at {offset:#x}")
        return RegionAccess(offset, self._index, size)


class VfioUserConfig(ConfigSpace):
    """Configuration space behind messages, a dword at most in each: servers may say something else in larger reads."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def read(self, offset: int, length: int) -> bytes:
        """Bytes. Raises DeviceGone when the server is gone."""
        out = b""
        for at, size in _pieces(offset, length):
            ask = RegionAccess(at, Region.CONFIG, size)
            with self._connection.request(Command.REGION_READ, ask.pack()) as reply:
                out += reply.body[RegionAccess.struct_size() :]
        return out

    def write(self, offset: int, data: bytes) -> None:
        """Write bytes. Raises DeviceGone when the server is gone."""
        for at, size in _pieces(offset, len(data)):
            body = RegionAccess(at, Region.CONFIG, size).pack() + data[at - offset : at - offset + size]
            self._connection.request(Command.REGION_WRITE, body).close()


def _pieces(offset: int, length: int) -> list[tuple[int, int]]:
    """The range cut at the borders of dwords: (offset, bytes)."""
    cuts = [offset, *range(offset // 4 * 4 + 4, offset + length, 4), offset + length]
    return [(at, after - at) for at, after in pairwise(cuts) if after > at]


class VfioUserFunction(Function):
    """A function of a served NIC, or of any other server that speaks vfio-user.

    patience: seconds that `await_presence` waits. Opening it does what a host does for a driver: memory and bus mastering
    are on. Raises DeviceError.
    """

    def __init__(self, path: str, name: str, patience: int = VF_WAIT) -> None:
        self.name, self.patience = name, patience
        self._bars: dict[int, VfioUserBar] = {}
        self._mapped: dict[int, list[tuple[int, int]]] = {}  # arena's IOVA -> IOVA and size of its pieces
        self._vectors: set[int] = set()
        self._connection = Connection(path, name, self._server_is_gone)
        try:
            self._regions = self._ask_info().regions
            self.config = VfioUserConfig(self._connection)
            self._msix = self._ask_irqs()
            self.config.write16(
                pci.COMMAND, pci.COMMAND_MEMORY | pci.COMMAND_BUS_MASTER | pci.COMMAND_NO_INTX
            )
        except BaseException:
            self.close()
            raise

    def bar(self, index: int) -> Bar:
        """A memory BAR that the server has. Raises DeviceError for others."""
        if index not in self._bars:
            size = self._ask_region(index).length if 0 <= index < Region.ROM else 0
            if not size:
                have = [f"BAR{n}" for n in range(Region.ROM) if self._ask_region(n).length]
                raise DeviceError(f"{self.name} has no BAR{index}: it has {', '.join(have)}")
            self._bars[index] = VfioUserBar(self._connection, index, size, self._regions)
        return self._bars[index]

    def await_presence(self, bar: Bar) -> None:
        """Wait until the server has made this function: a VF answers once its PF has enabled it. Raises DeviceError."""
        at = bar.registers.presence
        if at is None:
            return
        deadline = time.monotonic() + self.patience
        while True:
            late = time.monotonic() >= deadline
            if bar.read32(at) != ALL_ONES:
                break
            if late:
                raise DeviceError(self._why_absent())
            time.sleep(0.02)
        # The function was not there for earlier writes: they had no effect.
        self.config.write16(pci.COMMAND, pci.COMMAND_MEMORY | pci.COMMAND_BUS_MASTER)

    def _why_absent(self) -> str:
        pf, vf = re.fullmatch(r"(.*?)(?:\.vf(\d+))?(?:\.sock)?", self.name).groups()  # type: ignore[union-attr]
        hint = f", as in '{pf}.sock,vfs={int(vf) + 1}'" if vf else ""
        return (
            f"{self.name}: its PF has not made this VF (waited {self.patience} s): open the PF first, with enough "
            f"VFs{hint}"
        )

    def dma_map(self, arena: Arena) -> None:
        """Let the device reach the whole arena, at the arena's own IOVA: the server gets its descriptor."""
        if arena.iova in self._mapped:
            return
        if arena.contiguous:
            pieces = [(arena.iova, arena.size)]
        else:
            page = max(arena.page_size, PAGESIZE)
            pieces = [(iova, page) for iova in arena.iova_table]
        done = self._mapped[arena.iova] = []
        offset = 0
        try:
            for iova, size in pieces:
                flags = DmaFlags.READ | DmaFlags.WRITE
                ask = DmaMap(DmaMap.struct_size(), flags, offset, iova, size)
                done.append((iova, size))  # before the reply: a server that replies late may have mapped it
                self._connection.request(Command.DMA_MAP, ask.pack(), [arena.fd]).close()
                offset += size
        except BaseException:
            with suppress(DeviceError):
                self.dma_unmap(arena)
            self._mapped.pop(arena.iova, None)
            raise

    def dma_unmap(self, arena: Arena) -> None:
        """Take the arena away. When this returns the device reaches it no more; a server that is gone never will."""
        for iova, size in self._mapped.pop(arena.iova, ()):
            with suppress(DeviceGone):
                ask = DmaUnmap(DmaUnmap.struct_size(), 0, iova, size)
                self._connection.request(Command.DMA_UNMAP, ask.pack()).close()

    def reset(self) -> None:
        """Function level reset; then what the host had set in configuration space is put back."""
        before = self.config.read16(pci.COMMAND)
        self._connection.request(Command.RESET).close()
        time.sleep(0.1)  # what PCI Express asks a host to wait after it
        self.config.write16(pci.COMMAND, before)
        self._enable_msix()

    @property
    def vectors(self) -> int:
        """The MSI-X vectors."""
        return self._msix

    def interrupt(self, vector: int, eventfd: int | None) -> None:
        """Signal `eventfd` (None: nothing any more) when the vector fires."""
        if not 0 <= vector < self._msix:
            raise DeviceError(f"{self.name}: no MSI-X vector {vector}: it has {self._msix}")
        flags = IrqSet.EVENTFD | IrqSet.TRIGGER
        ask = SetIrqs(SetIrqs.struct_size(), flags, IrqKind.MSIX, vector, 1)
        descriptors = [] if eventfd is None else [eventfd]
        self._connection.request(Command.SET_IRQS, ask.pack(), descriptors).close()
        (self._vectors.discard if eventfd is None else self._vectors.add)(vector)
        self._enable_msix()

    def close(self) -> None:
        """Hang up: the server resets the function and forgets our memory and eventfds."""
        for bar in self._bars.values():
            if bar.tails is not None:
                bar.tails.close()
        self._connection.close()
        self._mapped.clear()

    # ---- in detail --------------------------------------------------------------------------------------------

    def _enable_msix(self) -> None:
        capability = self.config.find(pci.CAP_MSIX)
        if capability is None:
            return
        at = capability + pci.MSIX_CONTROL
        control = self.config.read16(at)
        self.config.write16(at, control | pci.MSIX_ENABLE if self._vectors else control & ~pci.MSIX_ENABLE)

    def _ask_info(self) -> DeviceInfo:
        size = DeviceInfo.struct_size()
        with self._connection.request(Command.GET_INFO, DeviceInfo(size, 0, 0, 0).pack()) as reply:
            return DeviceInfo.unpack(reply.body)

    def _ask_region(self, index: int) -> RegionInfo:
        size = RegionInfo.struct_size()
        ask = RegionInfo(size, 0, index, 0, 0, 0)
        with self._connection.request(Command.GET_REGION_INFO, ask.pack()) as reply:
            return RegionInfo.unpack(reply.body)

    def _ask_irqs(self) -> int:
        ask = IrqInfo(IrqInfo.struct_size(), 0, IrqKind.MSIX, 0)
        with self._connection.request(Command.GET_IRQ_INFO, ask.pack()) as reply:
            return IrqInfo.unpack(reply.body).count

    def _server_is_gone(self) -> None:
        for bar in tuple(self._bars.values()):
            bar.presence.value = ALL_ONES

    def __repr__(self) -> str:
        return f"<VfioUserFunction {self.name}>"


def open_function(spec: PortString) -> VfioUserFunction:
    """`probe`'s way in. Option pf_wait: how many seconds a VF's driver waits for a PF that has not made it yet."""
    patience = spec.integer("pf_wait", VF_WAIT)
    return VfioUserFunction(spec.target.removeprefix("vfio-user:"), spec.target, patience)
