# SPDX-License-Identifier: BSD-3-Clause
"""VFs of a port: when they exist (the PF's SR-IOV capability), and their resets (datasheet 4.2.2, 7.10.2, 9.4.4)."""

from __future__ import annotations

from collections.abc import Callable

from dataplane.pmd.datasheet import (
    EICR,
    GCR_EXT,
    PFVFLRE,
    PFVFLREC,
    PVFCTRL,
    PVTEIAC,
    PVTEIAM,
    PVTEICR,
    PVTEICS,
    PVTEIMC,
    PVTEIMS,
    PVTIVAR,
    PVTIVAR_MISC,
    PVTRSCINT,
    RDT,
    RXDCTL,
    STATUS,
    TDT,
    TXDCTL,
    VFRE,
    VFTE,
)
from dataplane.pmd.model.functions.mailbox import Mailboxes
from dataplane.pmd.model.functions.vf import Checks, VirtualFunction
from dataplane.pmd.model.registers.block import Board, RegisterBlock, on_read, on_write
from dataplane.pmd.model.registers.controller import Controller
from dataplane.pmd.model.registers.timing import Timing

__all__ = ["SriovRegisters"]

_ALL_VFS = 64


class SriovRegisters(RegisterBlock):
    """`vfs`: the functions that exist now, VF n at n. A VF that is made again is another object."""

    vfs: tuple[VirtualFunction, ...] = ()

    def __init__(
        self,
        chip: Controller,
        card: Board,
        timing: Timing,
        mailbox: Mailboxes,
        check: Callable[[VirtualFunction], Checks] | None,
    ) -> None:
        super().__init__(chip, card, timing)
        self._mailbox, self._check = mailbox, check
        self.watchers: list[Callable[[], None]] = []  # called, under the lock, after VFs appeared or went
        self.tracers: dict[
            int, Callable[[str, int, int], None]
        ] = {}  # by VF number, whether the VF exists or not

    # ---- which VFs exist ---------------------------------------------------------------------------------------

    def reset(self, power_up: bool) -> None:
        """4.2.1: a reset of the port resets the registers of its VFs, and keeps their configuration."""
        for vf in range(_ALL_VFS):
            self.chip.interrupts.vfs.forget(vf)
        for function in self.vfs:
            function.port_was_reset()
        self.refresh()

    def refresh(self) -> None:
        """Update which VFs exist and may do DMA, after a change of the capability, the PF's power or a VF's command."""
        capability, chip = self.chip.config.sriov, self.chip
        if chip.gone:
            return
        self._populate(capability.num_vfs if capability.enabled else 0)
        awake = chip.config.power_state == 0
        masters = sum(vf.config.bus_master << vf.number for vf in self.vfs) if awake else 0
        messages = sum((vf.config.bus_master and vf.config.msix_enabled) << vf.number for vf in self.vfs)
        chip.engine.share(len(self.vfs), masters)
        chip.interrupts.vfs.set_alive(messages & masters)
        status = STATUS.update(
            self.peek(STATUS), NUM_VFS=capability.num_vfs, IOV_ACTIVE=int(capability.enabled)
        )
        chip.load([(STATUS.offset, status)])

    def pull_out(self) -> None:
        """Remove all VFs before the port is pulled out, while the registers still assign the queues."""
        self._populate(0)
        self.chip.engine.share(0, 0)

    def _populate(self, count: int) -> None:
        chip = self.chip
        if count != len(self.vfs):
            for function in self.vfs:  # NumVFs cannot change while VFs exist: the count is 0 before or after
                function.leave()
                self.vf_reset(function.number)
                chip.engine.domain_of_vf(function.number).clear()
            self.vfs = tuple(VirtualFunction(chip, number, self, self._check) for number in range(count))
            for function in self.vfs:
                function.trace = self.tracers.get(function.number)
            for watcher in self.watchers:
                watcher()

    # ---- pools ------------------------------------------------------------------------------------------------

    @property
    def queues(self) -> int:
        """Queues of a pool by GCR_EXT.VT_MODE: 8, 4 or 2; 0 while there are no pools."""
        mode = self.get(GCR_EXT.VT_MODE)
        return 16 >> mode if mode else 0

    def queues_of(self, vf: int) -> range:
        """The queues of a VF's pool, in the PF's numbering; empty if the mode has no such pool."""
        queues = self.queues
        return range(vf * queues, (vf + 1) * queues) if queues and (vf + 1) * queues <= 128 else range(0)

    # ---- resets of a VF ---------------------------------------------------------------------------------------

    @on_write(PVFCTRL)
    def vf_control(self, offset: int, old: int, new: int, written: int) -> int:
        """9.4: VFCTRL.RST does what a function level reset does, except to the VF's configuration space."""
        if written & PVFCTRL[0].RST.mask:
            self.vf_reset((offset - PVFCTRL[0].offset) // 4)
        return 0

    def vf_reset(self, vf: int) -> None:
        """4.2.2, 7.10.2: stop the queues, close the gates, clear interrupts and mailbox flags, and notify the PF.

        Not reset: addresses, VLANs, VMOLR, VMVIR, TDWBAL and TDWBAH, the mailbox's memory, the counters.
        """
        chip = self.chip
        for queue in self.queues_of(vf):
            for control, tail in ((RXDCTL[queue], RDT[queue]), (TXDCTL[queue], TDT[queue])):
                chip.forget(control.offset)
                chip.forget(tail.offset)
                self.poke(control, 0)
        for gate in (VFRE[vf // 32], VFTE[vf // 32]):
            self.poke(gate, self.peek(gate) & ~(1 << vf % 32))
        for line in (PVTEICR, PVTEIMS, PVTEIAC, PVTEIAM, PVTIVAR_MISC):
            self.poke(line[vf], 0)
        for pair in {queue // 2 for queue in self.queues_of(vf)}:
            self.poke(PVTIVAR[pair], 0)
        for n in range(2):
            self.poke(PVTRSCINT[2 * vf + n], 0)
        chip.interrupts.vfs.forget(vf)
        self._mailbox.vf_reset(vf)
        if vf < len(self.vfs):
            self.vfs[vf].was_reset()
        seen = PFVFLRE[vf // 32]
        self.poke(seen, self.peek(seen) | 1 << vf % 32)
        chip.cause(EICR.MAILBOX.mask)

    @on_write(PFVFLREC)
    def resets_seen(self, offset: int, old: int, new: int, written: int) -> int:
        """8.2.3.27: a 1 clears that VF's bit in PFVFLRE."""
        index = (offset - PFVFLREC[0].offset) // 4
        self.poke(PFVFLRE[index], self.peek(PFVFLRE[index]) & ~written)
        return new

    # ---- interrupts of a VF -----------------------------------------------------------------------------------

    @on_read(PVTEICR)
    def causes(self, offset: int, value: int) -> int:
        """9.4: a read clears."""
        self.chip.interrupts.vfs.acknowledge((offset - PVTEICR[0].offset) // 4, value)
        return value

    @on_write(PVTEICS)
    def set_causes(self, offset: int, old: int, new: int, written: int) -> int:
        """9.4: a 1 sets the cause."""
        self.chip.interrupts.vfs.raise_vectors((offset - PVTEICS[0].offset) // 4, written)
        return new

    @on_write(PVTEIMS)
    def unmask(self, offset: int, old: int, new: int, written: int) -> int:
        """9.4: a 1 lifts the mask. With VTEIAM the mask may be set again before the write returns."""
        vf = (offset - PVTEIMS[0].offset) // 4
        self.chip.interrupts.vfs.unmask(vf, written)
        return self.peek(PVTEIMS[vf])

    @on_write(PVTEIMC)
    def mask(self, offset: int, old: int, new: int, written: int) -> int:
        """9.4: a 1 masks."""
        self.chip.interrupts.vfs.mask((offset - PVTEIMC[0].offset) // 4, written)
        return new
