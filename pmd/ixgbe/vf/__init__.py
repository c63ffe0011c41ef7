# SPDX-License-Identifier: BSD-3-Clause
"""A VF as a port: its agreement with the PF, and what it may change itself (datasheet 7.10, 9).

- `port`: the port, with a watchdog that restores the agreement
- `session`: reset, handshake, and the requests that are sent again after each handshake
- `watch`: what the watchdog works with: when to retry, why there is no link
- `explain`: why the VF sends or receives nothing, as far as it knows itself
- `talk`: the part of the port that the following ones use to ask the PF
- `macs`: `port.macs`
- `filters`: `port.multicast`, `port.vlans`
- `rss`: `port.rss`, which a VF can only read
"""
