# SPDX-License-Identifier: BSD-3-Clause
"""The model's functions for other people's userspace drivers: an unmodified DPDK program takes them for cards.

with Slots(["model0", "model1"]) as slots:
    slots.start(["dpdk-testpmd", "-l", "0,1", "--in-memory", "--", "-i"]).wait()
"""
