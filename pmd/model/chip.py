# SPDX-License-Identifier: BSD-3-Clause
"""One port of a card: its registers, and the parts of the chip whose registers have side effects."""

from __future__ import annotations

from collections.abc import Callable

from dataplane.pmd.model.functions.mailbox import Mailboxes
from dataplane.pmd.model.functions.sriov import SriovRegisters
from dataplane.pmd.model.functions.vf import Checks, VirtualFunction
from dataplane.pmd.model.registers.block import Board
from dataplane.pmd.model.registers.controller import Controller
from dataplane.pmd.model.registers.general import General
from dataplane.pmd.model.registers.link import LinkRegisters
from dataplane.pmd.model.registers.nvm import NvmRegisters
from dataplane.pmd.model.registers.queues import QueueRegisters
from dataplane.pmd.model.registers.timesync import TimeSync
from dataplane.pmd.model.registers.timing import Timing

__all__ = ["Chip"]


class Chip(Controller):
    """The registers of one port (`Controller`) and its blocks, which `add_blocks` makes.

    Outside an access, a caller must hold `lock` for everything except read, write, and the properties.
    """

    __slots__ = ("card", "general", "link", "mailbox", "nvm", "queues", "sriov", "timesync")

    card: Board
    nvm: NvmRegisters
    queues: QueueRegisters
    link: LinkRegisters
    general: General
    mailbox: Mailboxes
    sriov: SriovRegisters
    timesync: TimeSync

    def add_blocks(
        self, card: Board, timing: Timing, check: Callable[[VirtualFunction], Checks] | None
    ) -> None:
        """Make the blocks. Once, before the first access. check: makes the strict manner of a VF; None: lenient."""
        self.card = card
        self.nvm = NvmRegisters(self, card, timing)
        self.queues = QueueRegisters(self, card, timing)
        self.link = LinkRegisters(self, card, timing)
        self.general = General(self, card, timing, self.link, self._reset_blocks)
        self.mailbox = Mailboxes(self, card, timing)
        self.sriov = SriovRegisters(self, card, timing, self.mailbox, check)
        self.timesync = TimeSync(self, card, timing)
        self.on_carrier = self.link.set_carrier

    def _reset_blocks(self, power_up: bool) -> None:
        for block in (
            self.nvm, self.queues, self.link, self.general, self.mailbox, self.sriov, self.timesync
        ):  # fmt: skip
            block.reset(power_up)
