# SPDX-License-Identifier: BSD-3-Clause
"""The queues of an 82599: the code that runs for each packet, and the checks before it runs.

- `rx`, `tx`: the queues: `rx_burst`, `tx_burst`, attaching and detaching memory
- `kernels`: selects the loops over descriptors
- `kernel.h`: what each of these loops does, and its parameters
- `scalar.h`, `sse42.h`, `avx2.h`, `avx512.h`: the loops, for each width of vectors
- `sendable`: whether the chip can send a packet
- `merged`: puts merged packets (RSC) together
- `tail`: writes the tail, and notices that the device is gone
- `gate`: keeps the poller out while a queue is taken apart
- `checks`: checks before a queue is polled or gets memory
- `leftover`: counts packets that wait in the descriptor rings
"""
