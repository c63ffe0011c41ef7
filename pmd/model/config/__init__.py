# SPDX-License-Identifier: BSD-3-Clause
"""PCI configuration space of the PF (`pf`) and of a VF (`vf`), the PF's SR-IOV capability (`sriov`), and the words that
they are made of (`words`).
"""
