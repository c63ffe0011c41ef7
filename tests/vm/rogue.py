# SPDX-License-Identifier: BSD-3-Clause
"""``rogue.py ADDRESS``: has a card on vfio-pci read a descriptor ring that was never mapped for it, to no effect.

A PF is taken as it is; a VF has to be let in by its PF before its queues do anything, so its driver goes first.
"""

from __future__ import annotations

import sys

from dataplane.memory.hugepage import Arena
from dataplane.pmd import probe
from dataplane.pmd.bus.pci import device_of
from dataplane.pmd.bus.vfio import VfioFunction
from dataplane.pmd.datasheet import CTRL, DMATXCTL, TDBAH, TDBAL, TDH, TDLEN, TDT, TXDCTL, pci, vf
from dataplane.pmd.function import Bar
from dataplane.pmd.pci_device import PciDevice
from dataplane.pmd.register import Register

OUTSIDE = 0x30_0000_0000  # no arena is there


PF = (TDBAL, TDBAH, TDLEN, TXDCTL, TDH, TDT)
VF = (vf.VFTDBAL, vf.VFTDBAH, vf.VFTDLEN, vf.VFTXDCTL, vf.VFTDH, vf.VFTDT)


def rogue_pf(device: PciDevice) -> None:
    with VfioFunction(device) as card, Arena(1 << 20) as arena:
        card.dma_map(arena)
        bar = card.bar(0)
        card.config.write16(pci.COMMAND, pci.COMMAND_MEMORY | pci.COMMAND_BUS_MASTER)
        bar.set(CTRL.RST)
        bar.sleep(0.02)
        bar.set(DMATXCTL.TE)
        misuse(bar, PF, 0)


def rogue_vf(device: PciDevice) -> None:
    with probe(device.address) as port:
        port.tx(0)
        port.start()
        port.wait_link()
        misuse(port.bar, VF, 1)  # a queue that the driver does not use


def misuse(bar: Bar, registers: tuple[Register, ...], queue: int) -> None:
    """Eight descriptors are to be read where there is no memory."""
    low, high, length, control, head, tail = (register[queue] for register in registers)
    bar.write(low, OUTSIDE & 0xFFFF_FFFF)
    bar.write(high, OUTSIDE >> 32)
    bar.write(length, 4096)
    bar.set(control.ENABLE)
    bar.wait(control.ENABLE)
    bar.write(tail, 8)
    bar.sleep(0.2)
    bar.check()
    assert bar.read(head) == 0, "it has sent something"


if __name__ == "__main__":
    found = device_of(sys.argv[1])
    is_vf = int(found.text("device"), 16) in (pci.VF_82599, pci.VF_82599_HV)
    (rogue_vf if is_vf else rogue_pf)(found)
    print("blocked")
