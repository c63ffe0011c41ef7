# SPDX-License-Identifier: BSD-3-Clause
"""The PF's port and VF ports on one board: the bare NIC's bring-up with the board's mailboxes in its register memory."""

from __future__ import annotations

from fakenic import FakeBar, FakeFunction

from dataplane.pmd.datasheet import (
    CTRL_EXT,
    LINKS,
    PFMAILBOX,
    PFMBICR,
    PFVFLRE,
    PFVFLREC,
    QDE,
    RTTBCNRC,
    SSVPC,
    decode,
    pci,
)
from dataplane.pmd.ixgbe.pf import IxgbePort
from dataplane.pmd.ixgbe.steering.pools import PoolLayout
from dataplane.pmd.portstring import PortString
from tests.pmd.ixgbe.fakeboard import Board, Mailbox

_BOARDS = {CTRL_EXT, LINKS, PFMAILBOX, PFMBICR, PFVFLRE, PFVFLREC, QDE, RTTBCNRC, SSVPC}


class PfBar(FakeBar):
    name = "board0"

    def __init__(self, board: Board) -> None:
        self.board = board
        super().__init__()
        board.memory = self.memory  # the PF reads the words that a VF writes

    def power_up(self) -> None:
        super().power_up()
        self.board.boxes[:] = [Mailbox() for _ in range(64)]

    def read32(self, offset: int) -> int:
        register = decode(offset)
        if register is not None and register.register in _BOARDS:
            return self.board.read(offset)
        return super().read32(offset)

    def write32(self, offset: int, value: int) -> None:
        register = decode(offset)
        if register is not None and register.register in _BOARDS:
            self.board.write(offset, value)
        else:
            super().write32(offset, value)

    def now(self) -> float:
        return self.board.time

    def sleep(self, seconds: float) -> None:
        self.board.sleep(seconds)


class PfFunction(FakeFunction):
    """With an SR-IOV capability in its configuration space."""

    name = "board0"

    def __init__(self, board: Board, capable: bool = True) -> None:
        super().__init__()
        self.registers = PfBar(board)
        if capable:
            self.config.write32(pci.EXTENDED, 1 << 16 | pci.EXT_SRIOV)
            self.config.write32(pci.EXTENDED + pci.SRIOV_INITIAL_VFS, 64 << 16 | 64)


class PfPort(IxgbePort):
    """Its service runs in the test's own thread, while the test waits."""

    def __init__(self, vfs: int, options: str = "", board: Board | None = None) -> None:
        self.board = board or Board(vfs, PoolLayout.of(vfs).queues)
        options = f",vfs={vfs}{options}"
        super().__init__(
            PfFunction(self.board), PortString.split_options(f"board0{options}", "", "board0", options)
        )
        assert self.host is not None
        self.host.service.start = self._serve  # type: ignore[method-assign]

    def _serve(self) -> None:
        assert self.host is not None
        self.board.on_sleep[:] = [self.host.service.round]

    def _stop(self) -> None:
        super()._stop()
        self.board.on_sleep.clear()
