# SPDX-License-Identifier: BSD-3-Clause
"""The mailboxes between the PF and its VFs: who has the memory, who has said what (datasheet 7.10.2.9, 8.2.3.27, 9.4).

A mailbox is 16 words that both sides see, and flags. VFU and PFU exclude each other. What one side says is a flag that the
other finds: REQ and ACK of the VF in PFMBICR, STS and ACK of the PF in the VF's PFSTS and PFACK, which a read clears. All
flags of VF v live in PVFMAILBOX[v]; PFMAILBOX[v] shows the two locks of it.
"""

from __future__ import annotations

from dataplane.pmd.datasheet import CTRL_EXT, EICR, PFMAILBOX, PFMBICR, PFMBIMR, PVFMAILBOX
from dataplane.pmd.model.registers.block import RegisterBlock, on_write

__all__ = ["Mailboxes"]

_VF, _PF = PVFMAILBOX[0], PFMAILBOX[0]  # the fields of all of them
_VFS_A_WORD = 16  # of PFMBICR
_ALL_VFS = 64


class Mailboxes(RegisterBlock):
    """PFMAILBOX, PVFMAILBOX, PFMBICR, PFMBIMR, and CTRL_EXT.PFRSTD."""

    @on_write(PVFMAILBOX)
    def said_by_vf(self, offset: int, old: int, new: int, written: int) -> int:
        """9.4: VFU sticks while PFU is 0, and falls when not written; REQ and ACK reach PFMBICR."""
        vf = (offset - _VF.offset) // 4
        if old & _VF.PFU.mask:
            new &= ~_VF.VFU.mask
        self._store(vf, new)
        said = (bool(written & _VF.REQ.mask)) | bool(written & _VF.ACK.mask) << _VFS_A_WORD
        if said:
            register = PFMBICR[vf // _VFS_A_WORD]
            self.poke(register, self.peek(register) | said << vf % _VFS_A_WORD)
            if self._wanted(vf):
                self.chip.cause(EICR.MAILBOX.mask)
        return new

    @on_write(PFMAILBOX)
    def said_by_pf(self, offset: int, old: int, new: int, written: int) -> int:
        """8.2.3.27: PFU sticks while VFU is 0, and falls when not written; STS and ACK reach the VF; RVFU takes VFU."""
        vf = (offset - _PF.offset) // 4
        word = self.peek(PVFMAILBOX[vf])
        if written & _PF.RVFU.mask:
            word &= ~_VF.VFU.mask
            register, bit = PFMBICR[vf // _VFS_A_WORD], vf % _VFS_A_WORD
            self.poke(register, self.peek(register) & ~((1 | 1 << _VFS_A_WORD) << bit))
        free = not word & _VF.VFU.mask
        word = _VF.update(word, PFU=int(bool(written & _PF.PFU.mask) and free))
        if written & _PF.STS.mask:
            word |= _VF.PFSTS.mask
        if written & _PF.ACK.mask:
            word |= _VF.PFACK.mask
        self._store(vf, word)
        if written & (_PF.STS.mask | _PF.ACK.mask):
            self.chip.interrupts.vfs.mailbox(vf)
        return self.peek(PFMAILBOX[vf])

    @on_write(PFMBIMR)
    def unmasked(self, offset: int, old: int, new: int, written: int) -> int:
        """8.2.3.27: what waited in PFMBICR for its bit is a cause now."""
        first = (offset - PFMBIMR[0].offset) // 4 * 32
        lifted = new & ~old
        if any(lifted >> n & 1 and self._speaks(first + n) for n in range(32)):
            self.chip.cause(EICR.MAILBOX.mask)
        return new

    @on_write(CTRL_EXT)
    def pf_is_back(self, offset: int, old: int, new: int, written: int) -> int:
        """8.2.3.1.3: PFRSTD tells every VF that the PF is there again: RSTI falls, RSTD rises in their mailboxes.

        SILENT about a bit that is set already: only its rise counts, so that a driver may change its neighbours.
        """
        if new & ~old & CTRL_EXT.PFRSTD.mask:
            for vf in range(_ALL_VFS):
                self._store(vf, _VF.update(self.peek(PVFMAILBOX[vf]), RSTI=0, RSTD=1))
                self.chip.interrupts.vfs.mailbox(vf)
        return new

    def vf_reset(self, vf: int) -> None:
        """4.2.2: the VF's flags are cleared but RSTI, which is the PF's; memory stays. SILENT: PFU is the PF's, too."""
        self._store(vf, self.peek(PVFMAILBOX[vf]) & (_VF.RSTI.mask | _VF.PFU.mask))

    def _store(self, vf: int, word: int) -> None:
        self.poke(PVFMAILBOX[vf], word)
        self.poke(PFMAILBOX[vf], _PF.pack(VFU=_VF.VFU.extract(word), PFU=_VF.PFU.extract(word)))

    def _wanted(self, vf: int) -> bool:
        return bool(self.peek(PFMBIMR[vf // 32]) >> vf % 32 & 1)

    def _speaks(self, vf: int) -> bool:
        word = self.peek(PFMBICR[vf // _VFS_A_WORD])
        return bool(word >> vf % _VFS_A_WORD & (1 | 1 << _VFS_A_WORD))
