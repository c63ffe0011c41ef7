# SPDX-License-Identifier: BSD-3-Clause
"""The model's functions for other people's userspace drivers: an unmodified DPDK program takes them for cards.

with Slots([ModelFunction(card, 0)]) as slots:
    slots.start(["dpdk-testpmd", "-a", slots[0].address, ...])
"""
