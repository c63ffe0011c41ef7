# SPDX-License-Identifier: BSD-3-Clause
"""The 82599 in software: registers with their side effects, DMA through an IOMMU domain, wires.

A `card` has ports; each port has a controller (registers/) and an engine (datapath/). A `runner` is a thread that runs the
engines of a card, `shared` is what they have in common: the lock, the clock, the register file. `picture` prints the state
of a card; `fault` makes it misbehave.

    server/                        a card for drivers in other processes
    strict/                        reports what a driver must not do
    functions/   registers/        VFs and registers, with their side effects
    wire/                          where frames come from and go to
    datapath/                      frames between wires and descriptor rings
    netem/  classify/              impairments of a wire; which queue receives a frame
    interrupts/  config/           MSI-X; PCI configuration space
    state/                         C structs that the data path works on
"""

from dataplane.pmd.model.card import Card, get_card
from dataplane.pmd.model.registers.timing import Timing

__all__ = ["Card", "Timing", "get_card"]
