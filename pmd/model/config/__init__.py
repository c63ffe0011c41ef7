# SPDX-License-Identifier: BSD-3-Clause
"""PCI configuration space.

- `pf`, `vf`: that of a PF, and that of a VF
- `sriov`: the PF's SR-IOV capability
- `words`: bytes with masks, which both are made of
"""
