# SPDX-License-Identifier: BSD-3-Clause
"""The PF's side of SR-IOV: what its VFs may do, what they ask for, and how they are doing (datasheet 7.10).

- `host`: the VFs' part of a PF's port
- `pf_vfs`: `port.vfs`, for programs
- `settings`: what the administrator allows each VF: a row for each setting
- `settings_file`: these settings in a TOML file
- `state`: the PF's record of one VF
- `table`: the VFs of a PF: decides what they ask for, and writes the registers that enforce it
- `addresses`: decides which addresses a VF may have
- `rates`: divides a VF's limit among its queues
- `service`: the thread that serves the VFs: resets, messages, notifications
- `replies`: the reply to each message
- `bell`: wakes the service: the mailbox interrupt, or a timer
- `explain`: why a VF sends or receives nothing
- `sampling`: counts for one VF at a time, for `explain`
"""
