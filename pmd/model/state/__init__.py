# SPDX-License-Identifier: BSD-3-Clause
"""The working state of a port as C structs, decoded from the register file, and C functions for bytes and checksums.
Nearly each module is a header and the Cython declarations of it.

- `port`: the state of one port, which holds the other structs
- `queue`: Rx and Tx queues
- `fifo`: frames between wire and descriptors
- `domain`: the DMA map of a function
- `filter`, `pools`, `steer`, `director`: filters of the MAC, pools, how a queue is selected, the flow director
- `rsc`: packets that are being merged
- `stamps`: the clock of a port
- `violation`: what the data path reports of a driver's mistakes
- `bytes`: loads, stores and copies
- `checksum`: cyclic checksums
"""
