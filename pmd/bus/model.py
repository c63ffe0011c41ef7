# SPDX-License-Identifier: BSD-3-Clause
"""The model in this process as a bus: ``model0`` and ``model1`` are the ports of card 0, ``model2`` those of card 1 on.

Options of a port string: ``manner`` (lenient, strict) and ``thread`` (on, off: stepped by whoever waits on it), and those
of its wire (`pmd.bus.wiring`).
"""

from __future__ import annotations

from collections.abc import Callable
from mmap import PAGESIZE
from typing import Any

from dataplane.errors import ConfigError, DeviceError
from dataplane.hugepage import Arena
from pmd.bus.wiring import plug
from pmd.datasheet import pci
from pmd.function import Bar, Function
from pmd.model.card import MANNERS, Card, drop_card, get_card, hold_card
from pmd.model.controller import Controller
from pmd.portstring import PortString

__all__ = ["ModelBar", "ModelFunction", "ModelIoBar", "ModelMsixBar", "open_function"]

_VECTOR_CONTROL, _ENTRY = 12, 16  # an MSI-X table entry: address, data, control


class ModelBar(Bar):
    """BAR0 of a port of the model. A card that is stepped runs while its driver sleeps."""

    def __init__(self, card: Card, chip: Controller) -> None:
        self.name = chip.name
        self._card, self._chip = card, chip
        self._read, self._write = chip.read, chip.write

    def read32(self, offset: int) -> int:
        """The register at a byte offset; DatasheetViolation from a strict card."""
        return self._read(offset)

    def write32(self, offset: int, value: int) -> None:
        """Write the register at a byte offset; DatasheetViolation from a strict card."""
        self._write(offset, value)

    def now(self) -> float:
        """Seconds by the card's clock."""
        return self._card.now()

    def sleep(self, seconds: float) -> None:
        """Wait; a card that is stepped runs meanwhile."""
        self._card.sleep(seconds)

    def address(self, offset: int) -> int:
        """Where the register's dword is in memory: for tails, which have no side effect."""
        if not 0 <= offset < pci.REGISTERS_SIZE or offset & 3:
            raise DeviceError(
                f"{self.name}: no register at {offset:#x}: registers are dwords below {pci.REGISTERS_SIZE:#x}"
            )
        return int(self._chip.registers.address) + offset


class ModelIoBar(Bar):
    """BAR2: 32 bytes of I/O ports. SILENT about their layout: IOADDR at 0 holds an offset, IODATA at 4 is that register."""

    def __init__(self, chip: Controller) -> None:
        self.name, self._chip, self._address = chip.name, chip, 0

    def read32(self, offset: int) -> int:
        if offset == 0:
            return self._address
        return self._chip.read(self._address) if offset == 4 else 0xFFFF_FFFF

    def write32(self, offset: int, value: int) -> None:
        if offset == 0:
            self._address = value
        elif offset == 4:
            self._chip.write(self._address, value)


class ModelMsixBar(Bar):
    """BAR4: the MSI-X table, 64 entries of 16 bytes, and the pending bits behind it (datasheet 9.3.8, 8.2.3.4)."""

    def __init__(self, chip: Controller) -> None:
        self.name, self._chip = chip.name, chip
        self._table = [0] * (pci.PF_VECTORS * _ENTRY // 4)
        self.reset()

    def reset(self) -> None:
        """Every vector is masked."""
        for vector in range(pci.PF_VECTORS):
            self._table[vector * 4 : vector * 4 + 4] = [0, 0, 0, 1]
            self._chip.interrupts.table_mask(vector, False)

    def read32(self, offset: int) -> int:
        if 0 <= offset < pci.PF_VECTORS * _ENTRY:
            return self._table[offset // 4]
        if pci.MSIX_PBA_AT <= offset < pci.MSIX_PBA_AT + 8:
            return self._chip.interrupts.pending_bits >> 8 * (offset - pci.MSIX_PBA_AT) & 0xFFFF_FFFF
        return 0

    def write32(self, offset: int, value: int) -> None:
        if 0 <= offset < pci.PF_VECTORS * _ENTRY:
            self._table[offset // 4] = value
            if offset % _ENTRY == _VECTOR_CONTROL:
                with self._chip.lock:
                    self._chip.interrupts.table_mask(offset // _ENTRY, bool(value & 1))


class ModelFunction(Function):
    """A port of a card. Opening it does what a host does for a driver: BARs are placed, memory and bus mastering are on."""

    def __init__(self, card: Card, port: int = 0) -> None:
        if not 0 <= port < len(card.ports):
            raise ConfigError(f"card {card.index} of the model has no port {port}: it has {len(card.ports)}")
        self.card, self.chip = card, card.ports[port]
        self.name, self.config = self.chip.name, self.chip.config
        self._bars: dict[int, Bar] = {
            pci.PF_BAR_REGISTERS: ModelBar(card, self.chip),
            pci.PF_BAR_IO: ModelIoBar(self.chip),
            pci.PF_BAR_MSIX: ModelMsixBar(self.chip),
        }
        self._mapped: dict[int, list[int]] = {}  # arena's IOVA -> the IOVAs of its pieces
        self._vectors: set[int] = set()
        self._closed = False
        self.pull_wire: Callable[[], None] | None = None  # of the wire that goes with this function
        hold_card(card)
        self._enable()

    def _enable(self) -> None:
        self.config.write16(pci.COMMAND, pci.COMMAND_MEMORY | pci.COMMAND_BUS_MASTER | pci.COMMAND_NO_INTX)

    def bar(self, index: int) -> Bar:
        """BAR0 registers, BAR2 I/O, BAR4 MSI-X."""
        if index not in self._bars:
            raise DeviceError(
                f"{self.name} has no BAR{index}: it has {', '.join(f'BAR{n}' for n in self._bars)}"
            )
        return self._bars[index]

    def dma_map(self, arena: Arena) -> None:
        """Let the port's DMA reach the whole arena, at the arena's own IOVA."""
        if arena.iova in self._mapped:
            return
        if arena.contiguous:
            pieces = [(arena.iova, arena.address, arena.size)]
        else:
            page = max(arena.page_size, PAGESIZE)
            pieces = [(iova, arena.address + n * page, page) for n, iova in enumerate(arena.iova_table)]
        with self.card.lock:
            self._mapped[arena.iova] = [iova for iova, _, _ in pieces]
            for iova, address, size in pieces:
                # No owner: the domain must not keep an arena alive whose end it is told of.
                self.chip.engine.domain.map(iova, size, address)

    def dma_unmap(self, arena: Arena) -> None:
        """Take the arena away from the port's DMA. No error if it was not mapped."""
        with self.card.lock:
            for iova in self._mapped.pop(arena.iova, ()):
                self.chip.engine.domain.unmap(iova)

    def reset(self) -> None:
        """Function level reset; the host then puts back what it had set in configuration space."""
        before = self.config.read16(pci.COMMAND)
        self.config.write16(
            pci.PF_PCIE + pci.PCIE_DEVICE_CONTROL,
            self.config.read16(pci.PF_PCIE + pci.PCIE_DEVICE_CONTROL) | pci.DEVICE_CONTROL_FLR,
        )
        self.card.sleep(0.1)  # what PCI Express asks a host to wait after it
        self.config.write16(pci.COMMAND, before)
        bar = self._bars[pci.PF_BAR_MSIX]
        assert isinstance(bar, ModelMsixBar)
        bar.reset()

    @property
    def vectors(self) -> int:
        """The MSI-X vectors."""
        return pci.PF_VECTORS

    def interrupt(self, vector: int, eventfd: int | None) -> None:
        """Signal `eventfd` (None: nothing any more) when the vector fires."""
        with self.card.lock:
            self.chip.interrupts.connect(vector, -1 if eventfd is None else eventfd)
        (self._vectors.discard if eventfd is None else self._vectors.add)(vector)
        at = pci.PF_MSIX + pci.MSIX_CONTROL
        control = self.config.read16(at)
        self.config.write16(at, control | pci.MSIX_ENABLE if self._vectors else control & ~pci.MSIX_ENABLE)

    def close(self) -> None:
        """DMA ends; the card goes with its last function."""
        if self._closed:
            return
        self._closed = True
        try:
            if self.pull_wire is not None:
                self.pull_wire()
        finally:
            self._give_back()

    def _give_back(self) -> None:
        for vector in tuple(self._vectors):
            self.interrupt(vector, None)
        self.config.write16(pci.COMMAND, 0)
        with self.card.lock:
            for pieces in self._mapped.values():
                for iova in pieces:
                    self.chip.engine.domain.unmap(iova)
            self._mapped.clear()
        drop_card(self.card)

    def __repr__(self) -> str:
        return f"<ModelFunction {self.name} of {self.card!r}>"


def open_function(spec: PortString) -> ModelFunction:
    """`pmd.probe`'s way in. Raises ConfigError for options that make no sense."""
    number, dot, virtual = spec.target.removeprefix("model").partition(".vf")
    if dot:
        raise DeviceError(
            f"{spec.target}: the model has no virtual functions: open model{number} (its VF {virtual} cannot be)"
        )
    options: dict[str, Any] = {}
    if "manner" in spec.options:
        options["manner"] = spec.word("manner", "lenient", MANNERS)
    if "thread" in spec.options:
        options["threaded"] = spec.flag("thread", True)
    index, port = divmod(int(number), 2)
    function = ModelFunction(get_card(index, **options), port)
    try:
        function.pull_wire = plug(function.card, port, spec)
    except BaseException:
        function.close()
        raise
    return function
