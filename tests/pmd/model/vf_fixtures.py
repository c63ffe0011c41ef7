# SPDX-License-Identifier: BSD-3-Clause
"""A port with VFs, as far as a PF's driver has to bring it up for them, and the VFs as their drivers see them."""

import ctypes

import numpy as np
from chip_fixtures import Chip

from dataplane.pmd.bus.model_vf import ModelVfFunction
from dataplane.pmd.datasheet import CTRL_EXT, GCR_EXT, GPIE, MRQC, MTQC, RTTDCS, VT_CTL
from dataplane.pmd.datasheet.vf import VFMAILBOX

# queues of a pool -> GCR_EXT.VT_MODE, MTQC, MRQC.MRQE
LAYOUTS = {8: (1, 0xF, 0xC), 4: (2, 0xA, 0xA), 2: (3, 0x6, 0xB)}
POOLS = {queues: 128 // queues for queues in LAYOUTS}


class VfChip(Chip):
    """`vfs` VFs on port 0, pools of `queues` queues (0: no pools), and PFRSTD unless `ready` is False."""

    def __init__(self, vfs=4, queues=4, *, ready=True, **options):
        super().__init__(**options)
        self.function.set_vfs(vfs)
        self.lay_out(queues)
        if ready:
            self.bar.set(CTRL_EXT.PFRSTD)
        self.functions = {}

    def lay_out(self, queues):
        mode, mtqc, mrqe = LAYOUTS.get(queues, (0, 0, 0))
        self.bar.update(GCR_EXT, VT_MODE=mode)
        self.bar.update(GPIE, VT_MODE=mode)
        self.bar.set(RTTDCS.ARBDIS)
        self.bar.write(MTQC, mtqc)
        self.bar.clear(RTTDCS.ARBDIS)
        self.bar.update(MRQC, MRQE=mrqe)
        self.bar.update(VT_CTL, VT_ENA=int(bool(mode)))

    def vf_function(self, number):
        if number not in self.functions:
            self.functions[number] = ModelVfFunction(self.card, 0, number)
        return self.functions[number]

    def vf(self, number):
        """BAR0 of a VF."""
        return self.vf_function(number).bar(0)

    @property
    def silicon(self):
        """The VFs as the chip has them."""
        return self.chip.sriov.vfs

    def snapshot(self):
        """The register file, byte by byte."""
        return ctypes.string_at(self.chip.registers.address, 0x20000)

    def close(self):
        for function in self.functions.values():
            function.close()
        super().close()


def changed(before, after):
    """The offsets of the registers that differ in two snapshots."""
    differ = np.frombuffer(before, "<u4") != np.frombuffer(after, "<u4")
    return {int(4 * n) for n in np.flatnonzero(differ)}


def take(bar):
    """A VF takes the mailbox's memory, and looks whether it has it."""
    bar.write(VFMAILBOX, VFMAILBOX.VFU.mask)
    return bool(bar.get(VFMAILBOX.VFU))
