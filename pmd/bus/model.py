# SPDX-License-Identifier: BSD-3-Clause
"""The model in this process as a bus: ``model0`` and ``model1`` are the ports of card 0, ``model2`` those of card 1 on.

Options of a port string, beside those of its wire (`pmd.bus.wiring`):

- ``manner``: lenient or strict
- ``speed``: 10 or 1 Gbit/s, of the module in its cage; the driver reads it too
- ``clock_ppm``: a fault: how much too fast the crystal of its IEEE 1588 clock is
- ``thread``: on or off; off: the card is stepped by the callers that wait on it
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from dataplane.errors import ConfigError, DeviceError, check_new
from dataplane.memory.hugepage import Arena
from dataplane.pmd.bus.model_parts import ArenaMap
from dataplane.pmd.bus.model_vf import MOST_VFS, ModelVfFunction, how_to_have
from dataplane.pmd.bus.wiring import plug
from dataplane.pmd.datasheet import pci
from dataplane.pmd.function import Bar, Function
from dataplane.pmd.model.card import MANNERS, Card, drop_card, find_card, get_card, hold_card
from dataplane.pmd.model.interrupts.msix import MsixBar
from dataplane.pmd.model.registers.controller import Controller
from dataplane.pmd.model.wire.explain import explain_wire
from dataplane.pmd.portstring import PortString

__all__ = ["ModelBar", "ModelFunction", "ModelIoBar", "open_function"]

PF_WAIT = 5  # seconds that opening a VF waits for its PF


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

    def accompany(self, work: Callable[[], object]) -> Callable[[], None] | None:
        """Call `work` whenever a caller waits on a card that is stepped."""
        return self._card.accompany(work)

    def address(self, offset: int) -> int:
        """Where the register's dword is in memory: for tails, which have no side effect."""
        if not 0 <= offset < pci.REGISTERS_SIZE or offset & 3:
            raise DeviceError(
                f"{self.name}: no register at {offset:#x}: registers are dwords below {pci.REGISTERS_SIZE:#x}"
            )
        return int(self._chip.address(offset))


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


class ModelFunction(Function):
    """A port of a card. Opening it does what a host does for a driver: BARs are placed, memory and bus mastering are on."""

    def __init__(self, card: Card, port: int = 0) -> None:
        check_new(self, "chip")
        if not 0 <= port < len(card.ports):
            raise ConfigError(f"card {card.index} of the model has no port {port}: it has {len(card.ports)}")
        self.card, self.chip = card, card.ports[port]
        self.name, self.config = self.chip.name, self.chip.config
        interrupts = self.chip.interrupts

        def mask(vector: int, on: bool) -> None:
            with card.lock:
                interrupts.table_mask(vector, on)

        self._msix = MsixBar(self.name, pci.PF_VECTORS, mask, lambda: interrupts.pending_bits)
        self._bars: dict[int, Bar] = {
            pci.PF_BAR_REGISTERS: ModelBar(card, self.chip),
            pci.PF_BAR_IO: ModelIoBar(self.chip),
            pci.PF_BAR_MSIX: self._msix,
        }
        self._arenas = ArenaMap(card.lock, self.chip.engine.domain)
        self._vectors: set[int] = set()
        self._closed = False
        self.pull_wire: Callable[[], None] | None = None  # of the wire that goes with this function
        hold_card(card, self.chip)
        self._enable()

    @property
    def wire(self) -> str:
        return explain_wire(self.chip.engine)

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
        self._arenas.map(arena)

    def dma_unmap(self, arena: Arena) -> None:
        """Take the arena away from the port's DMA. No error if it was not mapped."""
        self._arenas.unmap(arena)

    def reset(self) -> None:
        """Function level reset; the host then puts back what it had set in configuration space."""
        before = self.config.read16(pci.COMMAND)
        self.config.write16(
            pci.PF_PCIE + pci.PCIE_DEVICE_CONTROL,
            self.config.read16(pci.PF_PCIE + pci.PCIE_DEVICE_CONTROL) | pci.DEVICE_CONTROL_FLR,
        )
        self.card.sleep(0.1)  # what PCI Express asks a host to wait after it
        self.config.write16(pci.COMMAND, before)
        self._msix.reset()

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

    def prepare(self) -> None:
        """Check the file that its wire writes."""
        wire = self.chip.engine.wire
        if self.pull_wire is not None and wire is not None:
            with self.card.lock:
                wire.prepare()

    def begin(self) -> None:
        """Make the file that its wire writes."""
        wire = self.chip.engine.wire
        if self.pull_wire is not None and wire is not None:
            with self.card.lock:
                wire.begin()

    def close(self) -> None:
        """End DMA. The card is closed with its last function. VFs that the driver left enabled stay: they are in use."""
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
        self._arenas.clear()
        drop_card(self.card, self.chip)

    def __repr__(self) -> str:
        return f"<ModelFunction {self.name} of {self.card!r}>"


def open_function(spec: PortString) -> ModelFunction | ModelVfFunction:
    """`dataplane.pmd.probe`'s way in. Raises ConfigError for options that make no sense."""
    number, dot, virtual = spec.target.removeprefix("model").partition(".vf")
    if dot:
        return _open_vf(int(number), int(virtual), spec)
    options: dict[str, Any] = {}
    if "manner" in spec.options:
        options["manner"] = spec.word("manner", "lenient", MANNERS)
    if "thread" in spec.options:
        options["threaded"] = spec.flag("thread", True)
    index, port = divmod(int(number), 2)
    function = ModelFunction(get_card(index, **options), port)
    try:
        function.card.insert(port, int(spec.word("speed", "10", ("1", "10"))))
        function.card.set_clock_ppm(port, spec.number("clock_ppm", 0.0))
        function.pull_wire = plug(function.card, port, spec)
    except BaseException:
        function.close()
        raise
    return function


def _open_vf(number: int, virtual: int, spec: PortString) -> ModelVfFunction:
    """A VF of a card that is there: a VF does not make one, and says nothing of its manner and thread.

    Option pf_wait: how many seconds to wait for a PF that is not there yet.
    """
    for key in ("manner", "thread", "wire", "clock_ppm"):
        if key in spec.options:
            raise ConfigError(f"{spec.text}: {key}= is said of the PF: open model{number},{key}=... first")
    index, port = divmod(number, 2)
    patience = spec.integer("pf_wait", PF_WAIT)
    deadline = time.monotonic() + patience
    while True:
        late = time.monotonic() >= deadline
        card = find_card(index)
        try:
            if card is None or port >= len(card.ports):
                raise DeviceError(f"{spec.text}: its PF is not up: {how_to_have(f'model{number}', virtual)}")
            return ModelVfFunction(card, port, virtual)
        except DeviceError as error:
            if late or virtual >= MOST_VFS:
                waited = f" (waited {patience} s)" if patience and virtual < MOST_VFS else ""
                raise DeviceError(f"{error}{waited}") from None
        time.sleep(0.02)
