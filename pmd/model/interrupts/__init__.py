# SPDX-License-Identifier: BSD-3-Clause
"""Interrupts: causes, masks, throttling and MSI-X vectors.

- `pf`: those of a PF
- `vf`: those of the VFs
- `msix`: the BAR with the MSI-X table
"""
