# SPDX-License-Identifier: BSD-3-Clause
"""A VF: configuration space, and BAR0 as a window on registers that really are the PF's (datasheet 7.10.2, 9.4, 9.5).

Each offset of the VF's 16 KiB stands for a register of the PF's with the VF's number put in (`datasheet.vf.twin`). What
belongs to other functions has no offset there, so nothing that a VF writes can reach it; queues that its pool does not have
read 0 and ignore writes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dataplane.errors import DeviceError
from dataplane.pmd.datasheet import FRTIMER, GCR_EXT, RegisterRef
from dataplane.pmd.datasheet import vf as window
from dataplane.pmd.model.config.pf import SUBSYSTEM_ID
from dataplane.pmd.model.config.vf import VfConfig
from dataplane.pmd.model.strict.vf import VfStrict

if TYPE_CHECKING:
    from collections.abc import Callable

    from dataplane.pmd.model.registers.controller import Controller

__all__ = ["VirtualFunction"]

ALL_ONES = 0xFFFF_FFFF
_SHARED = {line.name for line, (_, rule) in window.TWINS.items() if rule is window.SHARED}
_TAILS = (window.VFRDT, window.VFTDT)


class VirtualFunction:
    """VF `number` of a port, from VF Enable on until it is taken away; whoever still has it then reads all ones."""

    def __init__(self, chip: Controller, number: int) -> None:
        self.chip, self.number = chip, number
        self.name = f"{chip.name}.vf{number}"
        self.present = True
        self.trace: Callable[[str, int, int], None] | None = None  # as Controller.trace
        self.config = VfConfig(SUBSYSTEM_ID, lambda: self.there, self._config_changed)
        self.strict = VfStrict(self) if chip.strict is not None else None
        self._twins: dict[int, tuple[RegisterRef, RegisterRef | None]] = {}
        self._twins_for = -1  # GCR_EXT that `_twins` was made for

    # ---- whether there is one ---------------------------------------------------------------------------------

    @property
    def there(self) -> bool:
        """Whether the function answers configuration requests."""
        return self.present and not self.chip.gone and self.chip.config.power_state == 0

    @property
    def answers(self) -> bool:
        """Whether its BARs do: VF MSE of the PF, whatever the PF's own memory enable says."""
        return self.there and self.chip.config.sriov.memory

    @property
    def queues(self) -> int:
        """How many queues it has of each kind."""
        return len(self.chip.blocks["sriov"].queues_of(self.number))

    def leave(self) -> None:
        """VF Enable has been cleared: it is pulled out, as far as its driver can see."""
        self.present = False

    def was_reset(self) -> None:
        """The VF was reset, by whatever way."""
        if self.strict is not None:
            self.strict.was_reset()

    def port_was_reset(self) -> None:
        """The port was reset: its mode may become another one."""
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
                return  # what all VFs see is read only for them
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
            # The PF's register, but none of the side effects that a read by the PF has.
            value = self.chip.read_twin(FRTIMER.offset) if twin is FRTIMER else self.chip.peek(twin.offset)
        elif register.register is window.VTEITR:
            value = self.chip.interrupts.vfs.interval(self.number, register.index)
        else:
            value = 0
        if self.strict is not None:
            self.strict.has_read(register, value)
        return value

    def read_bytes(self, offset: int, size: int) -> bytes:
        """A read of any size, answered from whole registers, as the PF's."""
        if (offset | size) & 3 and self.strict is not None:
            self.strict.wrong_size("read", offset, size)
        out = b"".join(self.read(at).to_bytes(4, "little") for at in range(offset & ~3, offset + size, 4))
        return out[offset & 3 : (offset & 3) + size]

    def write_bytes(self, offset: int, data: bytes) -> None:
        """A write of any size; what does not cover a whole register is discarded, as the PF's."""
        if (offset | len(data)) & 3 and self.strict is not None:
            self.strict.wrong_size("write", offset, len(data))
        for skip in range(-(offset & 3) % 4, len(data) - 3, 4):
            self.write(offset + skip, int.from_bytes(data[skip : skip + 4], "little"))

    def tail_address(self, offset: int) -> int:
        """Where the dword of one of its tails is in memory. Raises DeviceError for everything else.

        It is the PF's register: when the PF changes the number of pools, the VF is reset and asks again.
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
        """The VF's register at an offset and the PF's behind it. (None, None): it reads 0 and ignores writes."""
        register, twin = self._lookup(offset)
        if self.strict is not None:
            self.strict.accessing(kind, offset, register, twin, value)
        if register is None or (twin is None and register.register in window.TWINS):
            return None, None
        return register, twin

    def _lookup(self, offset: int) -> tuple[RegisterRef | None, RegisterRef | None]:
        mode = self.chip.peek(GCR_EXT.offset)  # decides how many queues a pool has
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
                self.chip.blocks["sriov"].vf_reset(self.number)
            self.chip.blocks["sriov"].refresh()

    def __repr__(self) -> str:
        return f"<VirtualFunction {self.name}: {'there' if self.there else 'gone'}, {self.queues} queues>"
