# SPDX-License-Identifier: BSD-3-Clause
"""The registers of the PF's BAR0, one a line with its section, by chapters of the datasheet. `dataplane.pmd.datasheet` has
their names.

- `general`: control, status, timers, LEDs, wake-up
- `nvm`: EEPROM, flash, semaphores
- `pcie`: the PCIe block, direct cache access
- `interrupts`: causes, masks, moderation, vectors
- `filters`: which frames are accepted, and by which queue
- `fdir`: the flow director
- `rx`, `tx`: queues, buffers, DMA, scheduler
- `virtualization`: pools, switching, mailbox, VFs
- `timesync`: IEEE 1588
- `link`: MAC, link, auto-negotiation, flow control
- `stats`: counters
- `management`: the firmware's side
- `linksec`, `ipsec`, `fcoe`: units that our driver does not use
"""
