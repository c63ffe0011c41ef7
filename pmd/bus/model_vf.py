# SPDX-License-Identifier: BSD-3-Clause
"""A virtual function of the model as a bus: ``model0.vf3``. The PF's driver has to have enabled it."""

from __future__ import annotations

from dataplane.errors import DeviceError, DeviceGone, check_new
from dataplane.memory.hugepage import Arena
from dataplane.pmd.bus.model_parts import ArenaMap
from dataplane.pmd.datasheet import limits, pci
from dataplane.pmd.function import Bar, Function
from dataplane.pmd.model.card import Card, drop_card, hold_card
from dataplane.pmd.model.functions.vf import VirtualFunction
from dataplane.pmd.model.interrupts.msix import MsixBar
from dataplane.pmd.model.wire.explain import explain_wire

__all__ = ["MOST_VFS", "ModelVfBar", "ModelVfFunction", "how_to_have"]

MOST_VFS = limits.POOLS - 1  # one pool stays for the PF

_DEVICE_CONTROL = pci.PF_PCIE + pci.PCIE_DEVICE_CONTROL
_MSIX_CONTROL = pci.PF_MSIX + pci.MSIX_CONTROL


class ModelVfBar(Bar):
    """BAR0 of a VF. A card that is stepped runs while its driver sleeps."""

    def __init__(self, card: Card, vf: VirtualFunction) -> None:
        self.name = vf.name
        self._card, self._vf = card, vf

    def read32(self, offset: int) -> int:
        """The register at a byte offset; DatasheetViolation from a strict card. All ones when the VF is gone."""
        return self._vf.read(offset)

    def write32(self, offset: int, value: int) -> None:
        """Write the register at a byte offset; DatasheetViolation from a strict card."""
        self._vf.write(offset, value)

    def now(self) -> float:
        """Seconds by the card's clock."""
        return self._card.now()

    def sleep(self, seconds: float) -> None:
        """Wait; a card that is stepped runs meanwhile."""
        self._card.sleep(seconds)

    def address(self, offset: int) -> int:
        """Where the dword of VFRDT or VFTDT is in memory. DeviceError for others: they have side effects, or are shared."""
        return self._vf.tail_address(offset)


class ModelVfFunction(Function):
    """VF `number` of a port. Opening it turns bus mastering on, as a host does. DeviceError if no such VF exists."""

    def __init__(self, card: Card, port: int, number: int) -> None:
        check_new(self, "chip")
        self.chip, self.number = card.ports[port], number
        self.name = f"{self.chip.name}.vf{number}"
        self.vf = _find(card, port, number)
        self.card, self.config = card, self.vf.config
        interrupts, lock = self.chip.interrupts.vfs, card.lock

        def mask(vector: int, on: bool) -> None:
            with lock:
                interrupts.table_mask(number, vector, on)

        self._msix = MsixBar(
            self.name, pci.VF_VECTORS, mask, lambda: interrupts.pending_bits(number), lambda: self.vf.answers
        )
        self._bars: dict[int, Bar] = {
            pci.VF_BAR_REGISTERS: ModelVfBar(card, self.vf),
            pci.VF_BAR_MSIX: self._msix,
        }
        self._arenas = ArenaMap(lock, self.chip.engine.domain_of_vf(number))
        self._vectors: set[int] = set()
        self._closed = False
        hold_card(card, self.vf)
        self.config.write16(pci.COMMAND, pci.COMMAND_BUS_MASTER)

    @property
    def vendor_id(self) -> int:
        """The PF's: a VF's own reads 0xFFFF."""
        return self.chip.config.read16(pci.VENDOR_ID)

    @property
    def device_id(self) -> int:
        """From the PF's SR-IOV capability: a VF's own reads 0xFFFF."""
        return self.chip.config.read16(pci.PF_SRIOV + pci.SRIOV_VF_DEVICE)

    @property
    def wire(self) -> str:
        return explain_wire(self.chip.engine)

    def bar(self, index: int) -> Bar:
        """BAR0 registers, BAR3 MSI-X."""
        if index not in self._bars:
            raise DeviceError(
                f"{self.name} has no BAR{index}: it has {', '.join(f'BAR{n}' for n in self._bars)}"
            )
        return self._bars[index]

    def dma_map(self, arena: Arena) -> None:
        """Let the VF's DMA reach the whole arena, at the arena's own IOVA. DeviceGone if the VF is."""
        self._check()
        self._arenas.map(arena)

    def dma_unmap(self, arena: Arena) -> None:
        """Take the arena away from the VF's DMA. No error if it was not mapped, or if the VF is gone: then nothing is."""
        if self.vf.present:
            self._arenas.unmap(arena)
        else:
            self._arenas.forget()

    def reset(self) -> None:
        """Function level reset; the host then puts back what it had set in configuration space. DeviceGone if it is gone."""
        self._check()
        before = self.config.read16(pci.COMMAND)
        self.config.write16(_DEVICE_CONTROL, pci.DEVICE_CONTROL_FLR)
        self.card.sleep(0.1)  # what PCI Express asks a host to wait after it
        self.config.write16(pci.COMMAND, before)
        self._msix.reset()
        self._enable_msix()

    @property
    def vectors(self) -> int:
        """The MSI-X vectors."""
        return pci.VF_VECTORS

    def interrupt(self, vector: int, eventfd: int | None) -> None:
        """Signal `eventfd` (None: nothing any more) when the vector fires."""
        with self.card.lock:
            self.chip.interrupts.vfs.connect(self.number, vector, -1 if eventfd is None else eventfd)
        (self._vectors.discard if eventfd is None else self._vectors.add)(vector)
        self._enable_msix()

    def close(self) -> None:
        """DMA ends; the card goes with its last function."""
        if self._closed:
            return
        self._closed = True
        if self.vf.present:  # otherwise the VF is a new one, which another may have opened
            for vector in tuple(self._vectors):
                self.interrupt(vector, None)
            self.config.write16(pci.COMMAND, 0)
            self._arenas.clear()
        drop_card(self.card, self.vf)

    def _enable_msix(self) -> None:
        control = self.config.read16(_MSIX_CONTROL)
        self.config.write16(
            _MSIX_CONTROL, control | pci.MSIX_ENABLE if self._vectors else control & ~pci.MSIX_ENABLE
        )

    def _check(self) -> None:
        if not self.vf.there:
            raise DeviceGone(
                f"{self.name} is gone: its PF was closed, reset or pulled out, or changed the number of its VFs; open it "
                f"again when the PF is up"
            )

    def __repr__(self) -> str:
        return f"<ModelVfFunction {self.name} of {self.card!r}>"


def how_to_have(pf: str, number: int) -> str:
    """The end of an error message: how to give the PF of that name VF `number`."""
    if number >= MOST_VFS:
        return f"an 82599 port has vf0 to vf{MOST_VFS - 1}, the last of its {limits.POOLS} pools is the PF's"
    return f"open the PF first, with enough VFs, as in '{pf},vfs={number + 1}'"


def _find(card: Card, port: int, number: int) -> VirtualFunction:
    chip = card.ports[port]
    with card.lock:
        vfs, memory = chip.sriov.vfs, chip.config.sriov.memory
    if number >= len(vfs):
        has = f"{chip.name} has {len(vfs)} VFs" if vfs else f"{chip.name} has no VFs"
        raise DeviceError(
            f"{chip.name}.vf{number}: {has} (NumVFs of its SR-IOV capability): {how_to_have(chip.name, number)}"
        )
    if not memory:
        raise DeviceError(
            f"{chip.name}.vf{number}: its registers are not decoded: the PF's host has not set VF MSE (datasheet 9.4.4.3)"
        )
    return vfs[number]
