# SPDX-License-Identifier: BSD-3-Clause
"""The model in the place of `fakeboard.Board`: what the PF's service does there, it must do on the chip's registers, too."""

from __future__ import annotations

from collections.abc import Callable

from dataplane.pmd.bus.model import ModelFunction
from dataplane.pmd.bus.model_vf import ModelVfFunction
from dataplane.pmd.datasheet import CTRL, QDE, STATUS, RegisterRef, pci
from dataplane.pmd.function import Bar
from dataplane.pmd.model.card import Card
from tests.pmd.ixgbe.ruled import Ruled

__all__ = ["ModelBoard", "OnModel"]


class _DropEnables:
    """PFQDE as a table: the chip shows one queue's at a time."""

    def __init__(self, bar: Bar) -> None:
        self.bar = bar

    def __getitem__(self, queue: int) -> int:
        self.bar.write(QDE, QDE.pack(QUEUE=queue, RE=1))
        return self.bar.get(QDE.QDE)


class ModelBoard:
    """A stepped card; the PF's service stands in `on_sleep`, as on the board. No driver is in between."""

    link_up = True

    def __init__(self, vfs: int) -> None:
        self.card = Card(1, manner="lenient")
        self._card_sleep = self.card.sleep
        self.card.sleep = self.sleep  # type: ignore[method-assign]
        self.on_sleep: list[Callable[[], object]] = []
        self._asleep = False
        self.function = ModelFunction(self.card)
        self.function.set_vfs(vfs)
        self.pf = self.function.bar(pci.PF_BAR_REGISTERS)
        self.reset()
        self.qde = _DropEnables(self.pf)
        self._vfs: dict[int, ModelVfFunction] = {}

    def vf(self, number: int) -> Bar:
        if number not in self._vfs:
            self._vfs[number] = ModelVfFunction(self.card, 0, number)
        return self._vfs[number].bar(pci.VF_BAR_REGISTERS)

    def sleep(self, seconds: float) -> None:
        self._card_sleep(seconds)
        if not self._asleep:
            self._asleep = True
            try:
                for who in self.on_sleep:
                    who()
            finally:
                self._asleep = False

    @property
    def time(self) -> float:
        return self.card.now()

    def __getitem__(self, register: RegisterRef) -> int:
        """The word of a register, without the side effects of a read."""
        return int(self.card.ports[0].registers.peek(register.offset))

    def reset(self) -> None:
        """CTRL.RST, and the time that it takes."""
        self.pf.write(CTRL, CTRL.RST.mask)
        self._card_sleep(0.02)
        assert self.pf.get(STATUS.NUM_VFS) == self.function.vfs, "VFs outlive a reset by register"

    def close(self) -> None:
        for vf in self._vfs.values():
            vf.close()
        self.function.close()
        self.card.close()


class OnModel(Ruled):
    """A PF's service over the registers of the model."""

    board: ModelBoard  # type: ignore[assignment]

    def make_board(self, vfs: int, queues: int) -> ModelBoard:  # type: ignore[override]
        return ModelBoard(vfs)
