# SPDX-License-Identifier: BSD-3-Clause
"""``rogue.py ADDRESS``: has a card on vfio-pci read a descriptor ring that was never mapped for it, to no effect."""

from __future__ import annotations

import sys

from dataplane.hugepage import Arena
from pmd.bus.pci import device_of
from pmd.bus.vfio import VfioFunction
from pmd.datasheet import CTRL, DMATXCTL, TDBAH, TDBAL, TDH, TDLEN, TDT, TXDCTL, pci

OUTSIDE = 0x30_0000_0000  # no arena is there

if __name__ == "__main__":
    with VfioFunction(device_of(sys.argv[1])) as card, Arena(1 << 20) as arena:
        card.dma_map(arena)
        bar = card.bar(0)
        card.config.write16(pci.COMMAND, pci.COMMAND_MEMORY | pci.COMMAND_BUS_MASTER)
        bar.set(CTRL.RST)
        bar.sleep(0.02)
        bar.set(DMATXCTL.TE)
        bar.write(TDBAL[0], OUTSIDE & 0xFFFF_FFFF)
        bar.write(TDBAH[0], OUTSIDE >> 32)
        bar.write(TDLEN[0], 4096)
        bar.set(TXDCTL[0].ENABLE)
        bar.wait(TXDCTL[0].ENABLE)
        bar.write(TDT[0], 8)
        bar.sleep(0.2)
        bar.check()
        assert bar.read(TDH[0]) == 0, "it has sent something"
    print("blocked")
