# SPDX-License-Identifier: BSD-3-Clause
"""Compiled loops: they time calls with the TSC and without Python between them. `make build-bench` builds them.

- `micro`: mempool, ring and hand-off
- `ports`: bursts between virtual ports, and into capture files
- `solo`: driver and model in turns in one thread
- `queues`: the same with many queues
- `silicon`: the steps of the model alone
- `kernels`: the driver's kernels on descriptors that tests make
- `yardstick`: a calibration loop, the peer of work that has no other
"""
