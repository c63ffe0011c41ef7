# SPDX-License-Identifier: BSD-3-Clause
"""Registers: what a read and a write of each dword of BAR0 do.

- `controller`: carries out the accesses of a port
- `access`: the rules that masks can express, derived from the datasheet's tables
- `rules`: these rules as C structs, a copy for each card
- `block`: a part of the chip whose registers have side effects; the following ones are such parts
- `general`: reset, status, pins, timers
- `link`: auto-negotiation, LINKS, and when the link comes up
- `nvm`: EEPROM access, semaphores
- `queues`: queues, DMA, scheduler
- `timesync`: the clock and its stamps

Also:

- `eeprom`: the words that `nvm` reads
- `i2c`: the bus to the optical module
- `timing`: how long the chip takes for what it does by itself
- `trace`: records accesses by name
"""
