# SPDX-License-Identifier: BSD-3-Clause
"""Which packets a port receives and which of its queues gets each (datasheet 7.1.1, 7.1.2).

Which packets come in:

- `filters`: the filters of a port without VFs: keeps MAC, multicast, VLAN, and writes their registers
- `pool_filters`: the same for a port with VFs, where each pool has filters of its own
- `pools`: the queues of each pool, and the tables that all pools share
- `pf_filters`: what programs see: `port.macs`, `port.multicast`, `port.vlans` of a PF

RSS:

- `rss`: keeps key, table and hash types, and writes their registers
- `pf_rss`: what programs see: `port.rss` of a PF

Flow rules:

- `flow`: one rule: its conditions, and the object that `add` returns
- `flows`: FlowTable: chooses the filter of the chip for each rule
- `tuples`: EtherType and 5-tuple filters
- `director`: the flow director
- `pf_flows`: what programs see: `port.flows` of a PF
"""
