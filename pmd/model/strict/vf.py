# SPDX-License-Identifier: BSD-3-Clause
"""The strict manner of a VF: checks each access to its BAR0 before it happens.

A rule uses only what the VF's driver can know. The PF may be reset, or take the mailbox by force, at any moment. So the
rules about the mailbox depend on what the driver read last, not on the present state.
"""

from __future__ import annotations

from dataplane.pmd.datasheet import RegisterRef
from dataplane.pmd.datasheet import vf as window
from dataplane.pmd.model.chip import Chip
from dataplane.pmd.model.functions.vf import VirtualFunction
from dataplane.pmd.model.strict.pf import LED_BY, Reporter, broken_rule, refuse

__all__ = ["VfStrict"]

_MAILBOX = window.VFMAILBOX
_CONTROLS = (window.VFRXDCTL, window.VFTXDCTL)
# Rules about these do not apply before RXEN, which a VF cannot see: the self-test of Linux's ixgbevf enables queues without
# rings and writes tails while no frame arrives. The data path checks what a queue does with its tail.
_RX = (window.VFRXDCTL, window.VFRDT)
_SPARED = ("queue-without-ring", "queue-with-tail", "tail-past-length")


class VfStrict:
    """Checks each access of one VF (a `Checks`). chip: its port; reporter: the card."""

    def __init__(self, chip: Chip, function: VirtualFunction, reporter: Reporter) -> None:
        self.function, self.chip, self._reporter = function, chip, reporter
        self._faults = 0
        self.was_reset()

    def was_reset(self) -> None:
        """Forget what the driver knew of the mailbox."""
        self.pf_up: bool | None = None  # None: it has not read VFMAILBOX since the reset
        self.has_memory = False  # it has read VFU = 1 and not cleared it

    # ---- before an access -------------------------------------------------------------------------------------

    def accessing(
        self, kind: str, offset: int, register: RegisterRef | None, twin: RegisterRef | None, value: int
    ) -> None:
        """9.4: report an offset without a register, or a queue that the pool does not have; and earlier DMA faults."""
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
            # A write has no effect on a queue that does not exist, and DPDK's driver writes reset values to all eight. Only
            # enabling one is a violation.
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
        """Note what the driver has learned."""
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
        # Linux reads and acknowledges messages without a check of RSTI.
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
        """Report what the data path found on the VF's queues since the last call, and DMA outside its map."""
        for register, value, section, message in self.chip.take_violations(self.function.number):
            self._refuse(message, register, value, section)
        domain = self.chip.engine.domain_of_vf(self.function.number)
        if domain.fault_count == self._faults:
            return
        self._faults = domain.fault_count
        first = self.function.pf_queues.start
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
        refuse(self._reporter, self.function.name, message, register, value, section)
