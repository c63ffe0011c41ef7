# SPDX-License-Identifier: BSD-3-Clause
"""Frames between the wire and the descriptor rings, without the GIL.

`engine` runs a port: it decodes registers that were written (`dirty`), then sends (`tx`) and receives (`rx`).
Tx: `assemble` fetches a packet, `offload` and `tso` change it, `switch` passes it to other pools and to the wire.
Rx: `rxq` decodes a queue, `rx_ring` writes descriptors, `rsc` merges TCP segments.
Both: `iommu` translates addresses, `mac_stats` counts, `stamps` and `systim` are the clock of IEEE 1588, and `doorbell`
lets a driver in another process wake a sleeping card.
"""
