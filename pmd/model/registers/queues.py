# SPDX-License-Identifier: BSD-3-Clause
"""Registers of queues, DMA, the security blocks and the scheduler (datasheet 4.6.7, 4.6.8, 8.2.3.8 to 8.2.3.12)."""

from __future__ import annotations

from dataplane.pmd.datasheet import (
    CMD_IDLE,
    FDIRCMD,
    FDIRCTRL,
    QDE,
    RDH,
    RDRXCTL,
    RDT,
    RTTBCNRC,
    RTTDQSEL,
    RTTDT1C,
    RXDCTL,
    SECRXCTRL,
    SECRXSTAT,
    SECTXCTRL,
    SECTXSTAT,
    TDH,
    TDT,
    TXDCTL,
    Register,
    decode,
)
from dataplane.pmd.datasheet.limits import RX_QUEUES, TX_QUEUES
from dataplane.pmd.model.registers.block import RegisterBlock, on_read, on_write


class QueueRegisters(RegisterBlock):
    """Registers of the queues. Enabling a queue takes time; indirect registers have one word per queue."""

    def reset(self, power_up: bool) -> None:
        self.drop_enable = [0] * RX_QUEUES
        # For the strict manner: the last value written to some registers, by offset.
        self.last_written: dict[int, int] = {}
        self.banks = {RTTDT1C.offset: [0] * TX_QUEUES, RTTBCNRC.offset: [0] * TX_QUEUES}
        self.chip.load(
            [
                (RDRXCTL.offset, RDRXCTL.update(RDRXCTL.reset, DMAIDONE=0)),
                # Report that there is no IPsec, as some cards do: drivers read this before they offer it.
                (SECRXSTAT.offset, SECRXSTAT.pack(SECRX_RDY=1, SECRX_OFF_DIS=1)),
                (SECTXSTAT.offset, SECTXSTAT.pack(SECTX_RDY=1, SECTX_OFF_DIS=1)),
            ]
        )
        self.later(self.timing.dma_init, RDRXCTL.DMAIDONE, 1)

    @on_write(RXDCTL)
    def receive_queue(self, offset: int, old: int, new: int, written: int) -> int:
        """8.2.3.8.6, 4.6.7.1: ENABLE reads back when the queue has started. A tail written before that is lost."""
        return self._enable(RXDCTL, RDH, RDT, offset, old, new)

    @on_write(TXDCTL)
    def transmit_queue(self, offset: int, old: int, new: int, written: int) -> int:
        """8.2.3.9.10, 4.6.8.1: ENABLE reads back when the queue has started. A tail written before that is lost."""
        return self._enable(TXDCTL, TDH, TDT, offset, old, new)

    def _enable(
        self, line: Register, heads: Register, tails: Register, offset: int, old: int, new: int
    ) -> int:
        register = decode(offset)
        assert register is not None
        index, enable = register.index, line[0].ENABLE
        new &= ~line[0].SWFLSH.mask  # SWFLSH clears itself at once: no descriptor waits in the model
        pending = self.chip.is_pending(offset)
        if bool(new & enable.mask) == bool(old & enable.mask) and not pending:
            return new
        wanted, tail = enable.extract(new), tails[index].offset
        self.chip.forget(tail)
        if wanted and not enable.extract(old):
            self.chip.after(self.timing.queue, tail, 0xFFFF_FFFF, self.peek(heads[index]))
        self.later(self.timing.queue, register.ENABLE, wanted)
        return enable.insert(new, enable.extract(old))

    @on_write(RDH, TDH)
    def head(self, offset: int, old: int, new: int, written: int) -> int:
        """8.2.3.8.4, 8.2.3.9.8: hardware owns the head; software may set it while the queue is off."""
        register = decode(offset)
        assert register is not None
        control = (RXDCTL if register.register is RDH else TXDCTL)[register.index]
        return old if self.get(control.ENABLE) else new

    @on_write(SECRXCTRL)
    def receive_path(self, offset: int, old: int, new: int, written: int) -> int:
        """8.2.3.12.5: RX_DIS empties the block; SECRXSTAT.SECRX_RDY reports the end."""
        if new & ~old & SECRXCTRL.RX_DIS.mask:
            self.put(SECRXSTAT.SECRX_RDY, 0)
            self.later(self.timing.security, SECRXSTAT.SECRX_RDY, 1)
        return new

    @on_write(SECTXCTRL)
    def transmit_path(self, offset: int, old: int, new: int, written: int) -> int:
        """8.2.3.12: TX_DIS empties the block; SECTXSTAT.SECTX_RDY reports the end."""
        if new & ~old & SECTXCTRL.TX_DIS.mask:
            self.put(SECTXSTAT.SECTX_RDY, 0)
            self.later(self.timing.security, SECTXSTAT.SECTX_RDY, 1)
        return new

    @on_write(QDE)
    def queue_drop_enable(self, offset: int, old: int, new: int, written: int) -> int:
        """8.2.3.27.9: WE stores QDE for QUEUE, RE fetches it; the strobes read 0."""
        queue = QDE.QUEUE.extract(written)
        if written & QDE.WE.mask:
            self.drop_enable[queue] = QDE.QDE.extract(written)
            self.chip.tell(offset, written)
        if written & QDE.RE.mask:
            new = QDE.update(new, QDE=self.drop_enable[queue])
        return new

    @on_write(RTTDQSEL)
    def select_queue(self, offset: int, old: int, new: int, written: int) -> int:
        """8.2.3.10.13: selects the queue of RTTDT1C and RTTBCNRC."""
        queue = RTTDQSEL.QUEUE.extract(new)
        self.chip.load([(at, bank[queue]) for at, bank in self.banks.items()])
        return new

    @on_write(RTTDT1C, RTTBCNRC)
    def of_selected_queue(self, offset: int, old: int, new: int, written: int) -> int:
        """8.2.3.10.14, 16: one for each queue, seen through RTTDQSEL."""
        self.banks[offset][self.get(RTTDQSEL.QUEUE)] = new
        return new

    @on_read(RTTDT1C, RTTBCNRC)
    def selected_queue(self, offset: int, value: int) -> int:
        """8.2.3.10.14, 16: the word of the queue that RTTDQSEL selects."""
        return self.banks[offset][self.get(RTTDQSEL.QUEUE)]

    @on_write(FDIRCTRL)
    def flow_director(self, offset: int, old: int, new: int, written: int) -> int:
        """8.2.3.21: a write with PBALLOC starts initialisation; INIT_DONE reports the end, and the table is empty then."""
        self.chip.forget(offset)
        if new & FDIRCTRL.PBALLOC.mask:
            self.later(self.timing.flow_director, FDIRCTRL.INIT_DONE, 1)
        return FDIRCTRL.update(new, INIT_DONE=0)

    @on_write(FDIRCMD)
    def flow_director_command(self, offset: int, old: int, new: int, written: int) -> int:
        """8.2.3.21: the data path executes a command when it is stored; CMD reads 0 after a delay."""
        command = FDIRCMD.CMD.extract(written)
        self.chip.forget(offset)
        if command:
            self.later(self.timing.flow_command, FDIRCMD.CMD, CMD_IDLE)
        return FDIRCMD.update(new, CMD=command, VALID=0)
