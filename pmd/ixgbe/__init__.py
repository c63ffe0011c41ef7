# SPDX-License-Identifier: BSD-3-Clause
"""The driver of the Intel 82599. It uses `dataplane.pmd.function` and `dataplane.pmd.datasheet`, and does not know the bus:
`dataplane.probe` connects the two.

- `queues/`: the Rx and the Tx queue, with the code that runs for each packet; one copy for PF and VF
- `common`: what the ports of PF and VF share: memory, queues, start and stop, counters of queues
- `pf`: the port of the Physical Function; its bring-up follows the datasheet's order
- `vf/`: the port of a Virtual Function, and its agreement with the PF
- `steering/`: which packets the port receives, and which queue gets each: filters, RSS, flows
- `sriov/`: the PF's side of SR-IOV: what its VFs may do, what they ask for, and how they are doing
- `device_bar`: the registers as the driver's threads share them: closed during a reset, checked for removal
- `reset`, `nvm`, `link`, `datapath`, `counters`, `rates`, `merging`, `clock`: units of the chip: one method for each section
- `mailbox`, `messages`: how PF and VF exchange messages, and the messages
- `vf_counters`: a VF's counters, added up, for the VF and for its PF
- `control`: the socket by which `dataplane vf` reaches a running PF or VF
- `findings`: the lines that `dataplane vf explain` prints
- `errors`: errors between PF and VF, and of a queue whose device is gone

Tags in comments, each with its reason: SILENT: the datasheet does not say; CONFLICT: sources disagree; SKIPPED: left out.
"""
