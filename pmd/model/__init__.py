# SPDX-License-Identifier: BSD-3-Clause
"""The 82599 in software: registers with their side effects, DMA through an IOMMU domain, wires.

- `card`: two ports, and what they share: start, run, stop
- `chip`: one port: its registers, and the parts of the chip that have side effects
- `runner`: the thread that runs a card
- `shared`: what the threads share: the register file, the lock, the clock
- `registers/`: registers with their side effects
- `functions/`: VFs, and the mailbox
- `config/`: PCI configuration space
- `interrupts/`: causes and MSI-X vectors
- `datapath/`: frames between wires and descriptor rings
- `classify/`: which pools and queues receive a frame
- `state/`: C structs that the data path works on
- `wire/`: where frames come from and go to
- `netem/`: impairments of a wire
- `server/`: a card for drivers in other processes
- `strict/`: reports what a driver must not do
- `picture`: prints the state of a card
- `fault`: makes a card misbehave
"""

from dataplane.pmd.model.card import Card, get_card
from dataplane.pmd.model.registers.timing import Timing

__all__ = ["Card", "Timing", "get_card"]
