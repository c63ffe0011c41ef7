# SPDX-License-Identifier: BSD-3-Clause
"""A VF: its configuration space, and its BAR0, a window on registers of the PF (datasheet 7.10.2, 9.4, 9.5).

Each offset in the VF's 16 KiB stands for the PF's register with the VF's number (`datasheet.vf.twin`). Registers of other
functions have no offset there, so a VF cannot reach them. Queues that its pool does not have read 0 and ignore writes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from dataplane.errors import DeviceError
from dataplane.pmd.datasheet import FRTIMER, GCR_EXT, RegisterRef
from dataplane.pmd.datasheet import vf as window
from dataplane.pmd.model.config.pf import SUBSYSTEM_ID
from dataplane.pmd.model.config.vf import VfConfig
from dataplane.pmd.model.registers.controller import Controller

__all__ = ["Checks", "VfHome", "VirtualFunction"]

ALL_ONES = 0xFFFF_FFFF
_SHARED = {line.name for line, (_, rule) in window.TWINS.items() if rule is window.SHARED}
_TAILS = (window.VFRDT, window.VFTDT)


class VfHome(Protocol):
    """The part of its port's SR-IOV block (`SriovRegisters`) that a VF uses."""

    def queues_of(self, vf: int) -> range:
        """The queues of a VF's pool, in the PF's numbering."""

    def vf_reset(self, vf: int) -> None:
        """Reset a VF."""

    def refresh(self) -> None:
        """Update which VFs exist and which may do DMA."""


class Checks(Protocol):
    """The strict manner of one VF: called around each access, with the lock held. Raises or reports a violation."""

    def was_reset(self) -> None:
        """The VF was reset."""

    def accessing(
        self, kind: str, offset: int, register: RegisterRef | None, twin: RegisterRef | None, value: int
    ) -> None:
        """Before an access ("read" or "write")."""

    def writing(self, register: RegisterRef, twin: RegisterRef | None, value: int) -> None:
        """Before a write of a register."""

    def has_read(self, register: RegisterRef, value: int) -> None:
        """After a read."""

    def wrong_size(self, kind: str, offset: int, size: int) -> None:
        """An access of `size` bytes that is not a whole dword."""

    def look(self) -> None:
        """Report what the data path found since the last call."""


class VirtualFunction:
    """VF `number` of a port, while VF Enable is set. After that it reads all ones.

    chip: the registers of its port; home: what assigns its queues; check: makes its strict manner, None: lenient.
    """

    def __init__(
        self,
        chip: Controller,
        number: int,
        home: VfHome,
        check: Callable[[VirtualFunction], Checks] | None = None,
    ) -> None:
        self.chip, self.number, self._home = chip, number, home
        self.name = f"{chip.name}.vf{number}"
        self.present = True
        self.trace: Callable[[str, int, int], None] | None = None  # as Controller.trace
        self.config = VfConfig(SUBSYSTEM_ID, lambda: self.there, self._config_changed)
        self.strict = check(self) if check is not None else None
        self._twins: dict[int, tuple[RegisterRef, RegisterRef | None]] = {}
        self._twins_for = -1  # the value of GCR_EXT for which `_twins` is valid

    # ---- whether it exists ------------------------------------------------------------------------------------

    @property
    def there(self) -> bool:
        """Whether the function answers configuration requests."""
        return self.present and not self.chip.gone and self.chip.config.power_state == 0

    @property
    def answers(self) -> bool:
        """Whether its BARs answer: VF MSE of the PF decides, not the PF's own memory enable."""
        return self.there and self.chip.config.sriov.memory

    @property
    def queues(self) -> int:
        """How many queues it has of each kind."""
        return len(self.pf_queues)

    @property
    def pf_queues(self) -> range:
        """Its queues, in the PF's numbering."""
        return self._home.queues_of(self.number)

    def leave(self) -> None:
        """VF Enable was cleared: from now on the function is gone for its driver."""
        self.present = False

    def was_reset(self) -> None:
        """The VF was reset."""
        if self.strict is not None:
            self.strict.was_reset()

    def port_was_reset(self) -> None:
        """The port was reset: the number of queues in a pool may change."""
        self._twins_for = -1

    # ---- BAR0 -------------------------------------------------------------------------------------------------

    def read(self, offset: int) -> int:
        """A 32-bit read at a byte offset of BAR0. The strict manner raises DatasheetViolation."""
        with self.chip.lock:
            value = self._read(offset)
            if self.trace is not None:
                self.trace("R", offset, value)
            return value

    def write(self, offset: int, value: int) -> None:
        """A 32-bit write at a byte offset of BAR0. The strict manner raises DatasheetViolation."""
        with self.chip.lock:
            if self.trace is not None:
                self.trace("W", offset, value)
            if not self.answers:
                return
            register, twin = self._find("write", offset, value)
            if register is None or register.name in _SHARED:
                return  # a VF cannot write registers that all VFs share
            if self.strict is not None:
                self.strict.writing(register, twin, value)
            if twin is not None:
                self.chip.write_twin(twin.offset, value)
            elif register.register is window.VTEITR:
                self.chip.interrupts.vfs.set_interval(self.number, register.index, value)
            elif register.register is window.VFPBACL:
                self.chip.interrupts.vfs.clear_pending(self.number, value & 7)

    def _read(self, offset: int) -> int:
        if not self.answers:
            return ALL_ONES
        register, twin = self._find("read", offset, 0)
        if register is None:
            return 0
        if twin is not None and register.name not in _SHARED:
            value = self.chip.read_twin(twin.offset)
        elif twin is not None:
            # The PF's register, without the side effects of a read by the PF.
            value = self.chip.read_twin(FRTIMER.offset) if twin is FRTIMER else self.chip.peek(twin.offset)
        elif register.register is window.VTEITR:
            value = self.chip.interrupts.vfs.interval(self.number, register.index)
        else:
            value = 0
        if self.strict is not None:
            self.strict.has_read(register, value)
        return value

    def read_bytes(self, offset: int, size: int) -> bytes:
        """A read of any size, answered from whole registers, as by the PF."""
        if (offset | size) & 3 and self.strict is not None:
            self.strict.wrong_size("read", offset, size)
        out = b"".join(self.read(at).to_bytes(4, "little") for at in range(offset & ~3, offset + size, 4))
        return out[offset & 3 : (offset & 3) + size]

    def write_bytes(self, offset: int, data: bytes) -> None:
        """A write of any size. Parts that do not cover a whole register are discarded, as by the PF."""
        if (offset | len(data)) & 3 and self.strict is not None:
            self.strict.wrong_size("write", offset, len(data))
        for skip in range(-(offset & 3) % 4, len(data) - 3, 4):
            self.write(offset + skip, int.from_bytes(data[skip : skip + 4], "little"))

    def tail_address(self, offset: int) -> int:
        """The address of one of its tails in this process. Raises DeviceError for any other register.

        The tail is a PF register: when the PF changes the number of pools, the VF is reset and must ask again.
        """
        register, twin = self._lookup(offset)
        if register is None or register.register not in _TAILS:
            raise DeviceError(
                f"{self.name}: {register.name if register else f'offset {offset:#x}'} cannot be mapped: of a VF's "
                f"registers only the tails of its queues, VFRDT and VFTDT, are in memory of their own"
            )
        if twin is None:
            raise DeviceError(
                f"{self.name} has no {register.name}: its pool has {self.queues} queues (GCR_EXT.VT_MODE of "
                f"{self.chip.name}); the PF's driver sets up pools before VFs start"
            )
        return int(self.chip.address(twin.offset))

    def _find(self, kind: str, offset: int, value: int) -> tuple[RegisterRef | None, RegisterRef | None]:
        """The VF's register at an offset, and the PF's behind it. (None, None): reads 0 and ignores writes."""
        register, twin = self._lookup(offset)
        if self.strict is not None:
            self.strict.accessing(kind, offset, register, twin, value)
        if register is None or (twin is None and register.register in window.TWINS):
            return None, None
        return register, twin

    def _lookup(self, offset: int) -> tuple[RegisterRef | None, RegisterRef | None]:
        mode = self.chip.peek(GCR_EXT.offset)  # has the number of queues in a pool
        if mode != self._twins_for:
            self._twins, self._twins_for = {}, mode
        found = self._twins.get(offset)
        if found is None:
            register = window.decode(offset)
            if register is None:
                return None, None
            found = self._twins[offset] = register, window.twin(self.number, register, self.queues)
        return found

    # ---- configuration space ----------------------------------------------------------------------------------

    def _config_changed(self, what: str) -> None:
        with self.chip.lock:
            if what == "flr":
                self._home.vf_reset(self.number)
            self._home.refresh()

    def __repr__(self) -> str:
        return f"<VirtualFunction {self.name}: {'there' if self.there else 'gone'}, {self.queues} queues>"
