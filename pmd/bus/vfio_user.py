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
from functools import cache
from itertools import pairwise
from mmap import PAGESIZE

from dataplane.errors import DeviceError, DeviceGone
from dataplane.hugepage import Arena
from dataplane.pmd.bus.doorbells import Tails, tails_of
from dataplane.pmd.datasheet import RC, STATUS, decode, pci, vf
from dataplane.pmd.function import ALL_ONES, Bar, ConfigSpace, Function, Waker
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
_MSIX_CONTROL = pci.PF_MSIX + pci.MSIX_CONTROL
_PF_BARS = (pci.PF_BAR_REGISTERS, pci.PF_BAR_IO, pci.PF_BAR_MSIX)
_VF_BARS = (pci.VF_BAR_REGISTERS, pci.VF_BAR_MSIX)


class VfioUserBar(Bar):
    """A BAR behind messages. A write has had its effect when `write32` returns: no doorbell can overtake it.

    virtual: a VF's. A read that clears what it reads is never asked twice: when its answer comes too late (DeviceTimeout),
    the next read of that register takes that answer, so nothing that was counted is lost with it.
    """

    remote = True

    def __init__(self, connection: Connection, index: int, size: int, virtual: bool) -> None:
        self.name, self._connection, self._index, self._size = connection.name, connection, index, size
        self._once = _cleared_by_reads(virtual) if index == pci.PF_BAR_REGISTERS else frozenset()
        self.presence = ctypes.c_uint32(0)  # all ones when the server is gone, for who polls memory
        self.tails: Tails | None = None

    def read32(self, offset: int) -> int:
        """The register at a byte offset. Raises DeviceGone when the server is gone, DeviceTimeout when it is silent."""
        body, once = self._access(offset).pack(), (self._index, offset) if offset in self._once else None
        with self._connection.request(Command.REGION_READ, body, once=once) as reply:
            return int.from_bytes(reply.body[RegionAccess.struct_size() :][:4], "little")

    def write32(self, offset: int, value: int) -> None:
        """Write the register at a byte offset. Raises DeviceGone when the server is gone."""
        if self.tails is not None:
            self.tails.will_write(offset, value)
        body = self._access(offset).pack() + value.to_bytes(4, "little")
        self._connection.request(Command.REGION_WRITE, body).close()

    def address(self, offset: int) -> int:
        """Where a queue's tail is in memory, or a word that is all ones when STATUS is, since the device is gone."""
        if offset == STATUS.offset:
            return ctypes.addressof(self.presence)
        if self.tails is None:
            raise DeviceError(f"{self.name}: BAR{self._index} has no registers that could be mapped")
        return self.tails.address(offset)

    def waker(self) -> Waker | None:
        """What to do after a tail was written, if the server offers doorbells and rests."""
        return self.tails.waker if self.tails is not None else None

    def _access(self, offset: int) -> RegionAccess:
        if not 0 <= offset <= self._size - 4:
            raise DeviceError(f"{self.name}: BAR{self._index} has {self._size:#x} bytes, none at {offset:#x}")
        return RegionAccess(offset, self._index, 4)


@cache
def _cleared_by_reads(virtual: bool) -> frozenset[int]:
    """Offsets of BAR0 at which a read changes what is there."""
    find, size = (vf.decode, pci.VF_REGISTERS_SIZE) if virtual else (decode, pci.REGISTERS_SIZE)
    found = ((offset, find(offset)) for offset in range(0, size, 4))
    return frozenset(
        offset
        for offset, line in found
        if line and (line.register.bits(RC) or line.register.name in ("EICR", "VTEICR"))
    )


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
    """A function of a served NIC, or of whoever else speaks vfio-user for an 82599.

    Opening it does what a host does for a driver: memory and bus mastering are on. Raises DeviceError.
    """

    def __init__(self, path: str, name: str) -> None:
        self.name = name
        self._bars: dict[int, VfioUserBar] = {}
        self._mapped: dict[int, list[tuple[int, int]]] = {}  # arena's IOVA -> IOVA and size of its pieces
        self._vectors: set[int] = set()
        self._connection = Connection(path, name, self._server_is_gone)
        try:
            self._regions = self._ask_info().regions
            self.config = VfioUserConfig(self._connection)
            self.virtual = self.device_id in (pci.VF_82599, pci.VF_82599_HV)
            self._msix = self._ask_irqs()
            self.config.write16(
                pci.COMMAND, pci.COMMAND_MEMORY | pci.COMMAND_BUS_MASTER | pci.COMMAND_NO_INTX
            )
        except BaseException:
            self.close()
            raise

    def bar(self, index: int) -> Bar:
        """BAR0 registers, and the one with the MSI-X table: BAR4 of a PF, BAR3 of a VF."""
        if index not in self._bars:
            size = self._ask_region(index).length if 0 <= index < Region.ROM else 0
            if not size:
                have = _VF_BARS if self.virtual else _PF_BARS
                raise DeviceError(
                    f"{self.name} has no BAR{index}: it has {', '.join(f'BAR{n}' for n in have)}"
                )
            bar = self._bars[index] = VfioUserBar(self._connection, index, size, self.virtual)
            if index == pci.PF_BAR_REGISTERS:
                bar.tails = tails_of(bar, self._connection, self._regions, self.virtual)
        return self._bars[index]

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
                done.append((iova, size))  # before the answer: a server that is late may have it all the same
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
        control = self.config.read16(_MSIX_CONTROL)
        self.config.write16(
            _MSIX_CONTROL, control | pci.MSIX_ENABLE if self._vectors else control & ~pci.MSIX_ENABLE
        )

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
    """`probe`'s way in. Option of a VF, pf_wait: how many seconds to wait for a PF that has not made it yet."""
    function = VfioUserFunction(spec.target.removeprefix("vfio-user:"), spec.target)
    try:
        if function.virtual:
            _wait_for_vf(function, spec.integer("pf_wait", VF_WAIT))
    except BaseException:
        function.close()
        raise
    return function


def _wait_for_vf(function: VfioUserFunction, patience: int) -> None:
    bar = function.bar(pci.VF_BAR_REGISTERS)
    deadline = time.monotonic() + patience
    while True:
        late = time.monotonic() >= deadline
        if bar.read32(STATUS.offset) != ALL_ONES:
            break
        if late:
            pf, vf = re.fullmatch(r"(.*?)(?:\.vf(\d+))?(?:\.sock)?", function.name).groups()  # type: ignore[union-attr]
            hint = f", as in '{pf}.sock,vfs={int(vf) + 1}'" if vf else ""
            raise DeviceError(
                f"{function.name}: its PF has not made this VF (waited {patience} s): open the PF first, with enough "
                f"VFs{hint}"
            )
        time.sleep(0.02)
    # What was written before there was a VF went nowhere.
    function.config.write16(pci.COMMAND, pci.COMMAND_MEMORY | pci.COMMAND_BUS_MASTER)
