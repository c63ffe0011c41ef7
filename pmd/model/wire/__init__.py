# SPDX-License-Identifier: BSD-3-Clause
"""Wires: the other end of a port's connector.

- `port`: another port of this process, or the loop plug
- `peer`: a port of another process, by shared memory
- `peer_ring.h`: that memory: a ring of frames each way
- `ends`, `greeting`: how the two processes find each other, and what they send first
- `pcap`: capture files
- `tap`: a tap device of the kernel
- `explain`: a wire in words
"""
