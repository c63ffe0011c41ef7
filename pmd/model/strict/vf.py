# SPDX-License-Identifier: BSD-3-Clause
"""The strict manner for a VF: each access to its BAR0 is looked at before it happens.

A rule counts only what the VF's driver can know: the PF may be reset, or take the mailbox by force, at any moment. So the
rules about the mailbox go by what the driver has read last, not by what is true.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dataplane.pmd.datasheet import RegisterRef
from dataplane.pmd.datasheet import vf as window
from dataplane.pmd.model.strict.pf import LED_BY, broken_rule, refuse

if TYPE_CHECKING:
    from dataplane.pmd.model.functions.vf import VirtualFunction

__all__ = ["VfStrict"]

_MAILBOX = window.VFMAILBOX
_CONTROLS = (window.VFRXDCTL, window.VFTXDCTL)
# A VF has no RXEN, before which these count for nothing: the self-test of Linux's ixgbevf enables queues without rings and
# moves tails at will, and no frame comes. What a queue then does with its tail, the data path sees.
_RX = (window.VFRXDCTL, window.VFRDT)
_SPARED = ("queue-without-ring", "queue-with-tail", "tail-past-length")


class VfStrict:
    """Looks at each access of one VF."""

    def __init__(self, function: VirtualFunction) -> None:
        self.function, self.chip = function, function.chip
        self._faults = 0
        self.was_reset()

    def was_reset(self) -> None:
        """The driver knows nothing of the mailbox any more."""
        self.pf_up: bool | None = None  # None: it has not looked since its reset
        self.has_memory = False  # it has read VFU = 1, and not let go

    # ---- before an access -------------------------------------------------------------------------------------

    def accessing(
        self, kind: str, offset: int, register: RegisterRef | None, twin: RegisterRef | None, value: int
    ) -> None:
        """9.4: an offset without a register, or a queue enabled that the pool does not have; and what DMA did meanwhile."""
        self.look()
        if register is None:
            self._refuse(
                f"{kind} of {offset:#07x}: a VF has no register there", f"{offset:#07x}", value, "9.4"
            )
        elif (
            twin is None
            and kind == "write"
            and register.register in _CONTROLS
            and value & register.ENABLE.mask
        ):
            # Nothing happens to a queue that is not there, and DPDK's driver writes reset values to all eight: only a
            # driver that enables it is wrong.
            self._refuse(
                f"{kind} of {register.name}: the VF's pool has {self.function.queues} queues",
                register.name, value, "7.10.2, 9.4",
            )  # fmt: skip

    def writing(self, register: RegisterRef, twin: RegisterRef | None, value: int) -> None:
        """A write of a register is about to happen."""
        line = register.register
        if line is _MAILBOX:
            self._speaking(value)
        elif line is window.VFMBMEM and not self.has_memory:
            self._refuse(
                f"{register.name} written without the memory: set VFMAILBOX.VFU and read it back first",
                register.name, value, "7.10.2.9",
            )  # fmt: skip
        elif line in _CONTROLS and value & register.ENABLE.mask:
            self._starting(register, value)
        if twin is not None and window.TWINS[line][1] is window.BY_QUEUE:
            wrong = broken_rule(self.chip, twin, value, _SPARED if line in _RX else ())
            if wrong:
                self._refuse(f"{register.describe(value)}: {wrong[0]}", register.name, value, wrong[1])

    def has_read(self, register: RegisterRef, value: int) -> None:
        """What the driver knows now."""
        if register.register is _MAILBOX:
            self.pf_up = not value & _MAILBOX.RSTI.mask
            self.has_memory = bool(value & _MAILBOX.VFU.mask)

    def _speaking(self, value: int) -> None:
        said = value & (_MAILBOX.REQ.mask | _MAILBOX.ACK.mask)
        if said and not self.has_memory:
            self._refuse(
                f"{_MAILBOX.describe(value)}: it does not have the memory: set VFU and read it back first",
                _MAILBOX.name, value, "7.10.2.9",
            )  # fmt: skip
        # Linux reads, and ACKs, what it finds without a look at RSTI.
        if said & _MAILBOX.REQ.mask and self.pf_up is False:
            self._refuse(
                f"{_MAILBOX.describe(value)}: the PF is in reset (RSTI): wait until it falls",
                _MAILBOX.name, value, "7.10.2.9",
            )  # fmt: skip
        if not value & _MAILBOX.VFU.mask:
            self.has_memory = False

    def _starting(self, register: RegisterRef, value: int) -> None:
        if self.pf_up is None:
            why = "enabled before VFMAILBOX has been read: RSTI and RSTD say whether the PF is ready"
        elif not self.pf_up:
            why = "enabled while VFMAILBOX.RSTI is 1: the PF is in reset"
        else:
            return
        self._refuse(f"{register.name}: {why}", register.name, value, "4.6.10.2, 7.10.2.9")

    # ---- the rest ---------------------------------------------------------------------------------------------

    def look(self) -> None:
        """What the data path saw on the VF's queues since the last look, and DMA outside its own map."""
        for register, value, section, message in self.chip.take_violations(self.function.number):
            self._refuse(message, register, value, section)
        domain = self.chip.engine.domain_of_vf(self.function.number)
        if domain.fault_count == self._faults:
            return
        self._faults = domain.fault_count
        first = self.chip.blocks["sriov"].queues_of(self.function.number).start
        for fault in domain.take_faults():
            kind, _, queue = fault.what.rpartition(" queue ")
            register, section = next(found for start, found in LED_BY.items() if kind.startswith(start))
            self._refuse(str(fault), f"VF{register}[{int(queue) - first}]", fault.iova, section)

    def wrong_size(self, kind: str, offset: int, size: int) -> None:
        """8.1.1: registers are dwords."""
        self._refuse(
            f"{kind} of {size} bytes at {offset:#07x}: registers are accessed as aligned dwords",
            f"{offset:#07x}", size, "8.1.1",
        )  # fmt: skip

    def _refuse(self, message: str, register: str, value: int, section: str) -> None:
        refuse(self.chip, self.function.name, message, register, value, section)
