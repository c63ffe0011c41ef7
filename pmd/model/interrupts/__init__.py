# SPDX-License-Identifier: BSD-3-Clause
"""Interrupts: causes, masks, throttling and MSI-X vectors of the PF (`pf`) and of a VF (`vf`), and the BAR of the MSI-X
table (`msix`).
"""
