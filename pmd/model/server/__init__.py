# SPDX-License-Identifier: BSD-3-Clause
"""A card served to other processes: one vfio-user socket for each of its functions.

- `server`: the thread that listens to all sockets
- `session`: one client of one function, from its first message to its end
- `devices`: the functions as vfio-user devices: regions, interrupts, DMA, reset
- `memory`: the memory that a client maps for DMA
- `interrupts`: INTx, MSI and MSI-X, as eventfds of the client
- `host_view`: a VF's configuration space as a host shows it to a guest
- `account`: what the clients of a function may hold, and what they have cost
- `refusal`: the answer to a request that is refused
"""
