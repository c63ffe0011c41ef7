# SPDX-License-Identifier: BSD-3-Clause
"""SR-IOV.

- `sriov`: the VFs of a port: when they exist, and their resets
- `vf`: the registers that one VF sees
- `mailbox`: how VF and PF exchange messages
"""
