# SPDX-License-Identifier: BSD-3-Clause
"""A board for the two ends of the mailbox: registers with the rules of turn taking, and nothing that moves packets.

Written from the facts about the registers (datasheet 7.10.2.9, 8.2.3.27, 9.4), without a look at the model. Time passes by
sleeping only; the callbacks in `on_sleep` run meanwhile, so that a VF driver that waits lets the PF's service work, all in
one thread.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

from dataplane.errors import DeviceGone
from dataplane.memory.hugepage import Arena
from dataplane.pmd.datasheet import (
    CTRL,
    CTRL_EXT,
    LINKS,
    PFMAILBOX,
    PFMBICR,
    PFMBMEM,
    PFVFLRE,
    PFVFLREC,
    PVFCTRL,
    PVFMAILBOX,
    QDE,
    RTTBCNRC,
    RTTDQSEL,
    RXDCTL,
    SECRXSTAT,
    SSVPC,
    TXDCTL,
    VFRE,
    VFTE,
    RegisterRef,
    decode,
    pci,
)
from dataplane.pmd.datasheet import vf as window
from dataplane.pmd.function import Bar, ConfigSpace, Function
from dataplane.pmd.register import SC, WO

SIZE = 0x20000


class Mailbox:
    """The flags of one VF's mailbox. RSTI is up until a PF's driver says PFRSTD."""

    def __init__(self) -> None:
        self.vfu = self.pfu = self.pfsts = self.pfack = self.rstd = False
        self.rsti = True


class Board:
    """One port with `vfs` VFs, pools of `queues` queues."""

    def __init__(self, vfs: int = 4, queues: int = 4) -> None:
        self.vfs, self.queues = vfs, queues
        self.memory = (ctypes.c_uint32 * (SIZE // 4))()
        self.boxes = [Mailbox() for _ in range(64)]
        self.qde: dict[int, int] = {}
        self.rates: dict[int, int] = {}
        self.time = 100.0
        self.on_sleep: list[Callable[[], object]] = []
        self.log: list[tuple[str, str, int]] = []
        self.link_up = True
        self.gone = False  # of the VFs: VF Enable was taken away
        self._asleep = False
        self.pf = BoardBar(self, None, "board0")
        self._fill()

    def vf(self, number: int) -> BoardBar:
        return BoardBar(self, number, f"board0.vf{number}")

    # ---- time -----------------------------------------------------------------------------------------------------

    def sleep(self, seconds: float) -> None:
        end = self.time + seconds
        if not self._asleep:
            self._asleep = True  # who runs meanwhile does not run others
            try:
                for who in self.on_sleep:
                    who()
            finally:
                self._asleep = False
        self.time = max(self.time, end)

    # ---- registers ------------------------------------------------------------------------------------------------

    def __getitem__(self, register: RegisterRef) -> int:
        """The word of a register, without the side effects of a read."""
        return self.memory[register.offset // 4]

    def __setitem__(self, register: RegisterRef, value: int) -> None:
        self.memory[register.offset // 4] = value

    def _fill(self) -> None:
        from dataplane.pmd.datasheet import ALL

        for line in ALL:
            for register in line:
                self[register] = register.reset

    def read(self, offset: int) -> int:
        register = decode(offset)
        if register is None:
            return self.memory[offset // 4]
        line, n = register.register, register.index
        if line is PFMAILBOX:
            box = self.boxes[n]
            return register.pack(VFU=int(box.vfu), PFU=int(box.pfu))
        if line is PVFMAILBOX:
            return self._vf_mailbox(n)
        if line is LINKS:
            return LINKS.pack(UP=1, SPEED=3) if self.link_up else 0
        if line is SECRXSTAT:
            return SECRXSTAT.pack(SECRX_RDY=1)
        value = self[register] & ~register.bits(WO)
        if line is SSVPC:
            self[register] = 0
        return value

    def write(self, offset: int, value: int, who: str = "pf") -> None:
        register = decode(offset)
        if register is None:
            self.memory[offset // 4] = value
            return
        self.log.append((who, register.name, value))
        line, n = register.register, register.index
        if line is PFMAILBOX:
            self._write_pf_mailbox(n, register, value)
        elif line is PVFMAILBOX:
            self._write_vf_mailbox(n, value)
        elif line is PFMBICR:
            self[register] &= ~value
        elif line is PFVFLRE:
            pass  # read only: cleared through its partner
        elif line is PFVFLREC:
            self[PFVFLRE[n]] &= ~value
        elif line is PVFCTRL:
            if value & register.RST.mask:
                self.reset_vf(n)
        elif line is CTRL and value & (CTRL.RST.mask | CTRL.LRST.mask):
            self.reset()
        elif line is CTRL_EXT:
            self[register] = value
            if value & CTRL_EXT.PFRSTD.mask:
                for box in self.boxes:
                    box.rsti, box.rstd = False, True
        elif line is QDE and value & QDE.WE.mask:
            self.qde[QDE.QUEUE.extract(value)] = QDE.QDE.extract(value)
        elif line is RTTBCNRC:
            self.rates[self[RTTDQSEL]] = value
        else:
            self[register] = value & ~register.bits(SC)

    def _vf_mailbox(self, n: int) -> int:
        box = self.boxes[n]
        word = PVFMAILBOX[n].pack(
            VFU=int(box.vfu),
            PFU=int(box.pfu),
            PFSTS=int(box.pfsts),
            PFACK=int(box.pfack),
            RSTI=int(box.rsti),
            RSTD=int(box.rstd),
        )
        box.pfsts = box.pfack = box.rstd = False
        return word

    def _write_vf_mailbox(self, n: int, value: int) -> None:
        box, register = self.boxes[n], PVFMAILBOX[n]
        box.vfu = bool(value & register.VFU.mask) and not box.pfu
        self._cause(n, bool(value & register.REQ.mask), bool(value & register.ACK.mask))

    def _write_pf_mailbox(self, n: int, register: RegisterRef, value: int) -> None:
        box = self.boxes[n]
        if value & register.RVFU.mask:
            box.vfu = False
            self[PFMBICR[n >> 4]] &= ~((1 << 16 | 1) << (n & 15))
        box.pfu = bool(value & register.PFU.mask) and not box.vfu
        box.pfsts = box.pfsts or bool(value & register.STS.mask)
        box.pfack = box.pfack or bool(value & register.ACK.mask)

    def _cause(self, n: int, request: bool, ack: bool) -> None:
        self[PFMBICR[n >> 4]] |= (int(request) | int(ack) << 16) << (n & 15)

    # ---- resets ---------------------------------------------------------------------------------------------------

    def reset(self) -> None:
        """CTRL.RST: everything, and every VF learns of it."""
        kept = [self[PFMBMEM[n // 16, n % 16]] for n in range(64 * 16)]
        self._fill()
        for n, word in enumerate(kept):
            self[PFMBMEM[n // 16, n % 16]] = word
        self.boxes[:] = [Mailbox() for _ in range(64)]
        self.qde.clear()
        self.rates.clear()

    def reset_vf(self, n: int) -> None:
        """VFCTRL.RST or a VFLR: its queues, its gates and its mailbox's flags, but not the memory."""
        rsti = self.boxes[n].rsti
        self.boxes[n] = Mailbox()
        self.boxes[n].rsti = rsti
        for queue in range(n * self.queues, (n + 1) * self.queues):
            self[RXDCTL[queue]] = self[TXDCTL[queue]] = 0
        for gate in (VFRE, VFTE):
            self[gate[n >> 5]] &= ~(1 << (n & 31))
        self[PFVFLRE[n >> 5]] |= 1 << (n & 31)


class BoardBar(Bar):
    """BAR0 of the PF (vf None) or of a VF, whose accesses the chip translates."""

    def __init__(self, board: Board, vf: int | None, name: str) -> None:
        self.board, self.vf, self.name = board, vf, name

    def read32(self, offset: int) -> int:
        if self.vf is None:
            return self.board.read(offset)
        if self.board.gone:
            return 0xFFFF_FFFF
        return self.board.read(self._twin(offset))

    def write32(self, offset: int, value: int) -> None:
        if self.vf is None:
            self.board.write(offset, value)
        elif not self.board.gone:
            self.board.write(self._twin(offset), value, f"vf{self.vf}")

    def address(self, offset: int) -> int:
        return ctypes.addressof(self.board.memory) + (offset if self.vf is None else self._twin(offset))

    def now(self) -> float:
        return self.board.time

    def sleep(self, seconds: float) -> None:
        self.board.sleep(seconds)

    def _twin(self, offset: int) -> int:
        register = window.decode(offset)
        twin = register and window.twin(self.vf or 0, register, self.board.queues)
        return (
            twin.offset if twin else SIZE - 4
        )  # a register that only a VF has: a dword that is otherwise unused


class BoardConfig(ConfigSpace):
    """Configuration space as plain memory."""

    def __init__(self) -> None:
        self.bytes = bytearray(pci.SIZE)

    def read(self, offset: int, length: int) -> bytes:
        return bytes(self.bytes[offset : offset + length])

    def write(self, offset: int, data: bytes) -> None:
        self.bytes[offset : offset + len(data)] = data


class BoardFunction(Function):
    """A VF of the board as `probe` would open it."""

    def __init__(self, board: Board, vf: int) -> None:
        self.board, self.number, self._bar = board, vf, board.vf(vf)
        self.name, self.config = self._bar.name, BoardConfig()
        self.mapped: list[Arena] = []
        self.closed = False

    def bar(self, index: int) -> Bar:
        assert index == pci.VF_BAR_REGISTERS
        return self._bar

    def dma_map(self, arena: Arena) -> None:
        self.mapped.append(arena)

    def dma_unmap(self, arena: Arena) -> None:
        if arena in self.mapped:
            self.mapped.remove(arena)

    def reset(self) -> None:
        if self.board.gone:
            raise DeviceGone(f"{self.name} is gone")
        self.board.reset_vf(self.number)

    def close(self) -> None:
        self.closed = True
