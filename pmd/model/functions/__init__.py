# SPDX-License-Identifier: BSD-3-Clause
"""SR-IOV: the VFs of a port (`sriov`), the registers that one VF sees (`vf`), and how VF and PF exchange messages
(`mailbox`).
"""
