# SPDX-License-Identifier: BSD-3-Clause
"""Registers: what a read and a write of each dword of BAR0 do.

`access` derives from the datasheet's tables what masks can express. `controller` performs the accesses of a port. A `block`
is a part of the chip whose registers have side effects: `general`, `link`, `nvm`, `queues`, `timesync`. `eeprom` makes the
words that `nvm` reads; `i2c` is the bus to the optical module. `trace` records accesses by name.
"""
