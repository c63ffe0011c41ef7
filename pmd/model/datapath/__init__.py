# SPDX-License-Identifier: BSD-3-Clause
"""Frames between the wire and the descriptor rings, without the GIL.

- `engine`: runs a port step by step: decodes registers that were written, then sends and receives
- `decode`: from a port's registers to its working state
- `tx`: sends: descriptors, data, completion
- `assemble`: fetches packets that are not usual
- `offload`, `tso`: checksums and VLAN tags; segmentation
- `switch`: passes what a pool sends to other pools and to the wire
- `rx`: receives: MAC, packet buffer, queue, descriptor
- `mac`: the MAC's part in receiving
- `mac_stats`: the MAC's counters
- `rxq`: decodes the registers of an Rx queue
- `rx_ring`: fetches and writes Rx descriptors
- `rsc`: merges TCP segments
- `iommu`: translates every address
- `stamps`, `systim`: which packets get a time stamp; the clock's registers
- `doorbell`: tails in memory that another process may map
"""
