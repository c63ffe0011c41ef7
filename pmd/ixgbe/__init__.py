# SPDX-License-Identifier: BSD-3-Clause
"""The driver of the Intel 82599. It knows `dataplane.pmd.function` and `dataplane.pmd.datasheet`, and no bus:
`dataplane.probe` joins them.

queue    the hot loops, one copy for PF and VF
common   what PF and VF share: memory, queues, start and stop, counters of queues
pf       the Physical Function as a port; bring-up in the datasheet's order
reset, nvm, link, filters, datapath, counters    the steps of the bring-up, one small method a section
vf       the Virtual Function as a port; vf_session its agreement with the PF, vf_counters
sriov    the PF's rule over its VFs: pools, pool_filters, policy
vf_service, mailbox, messages    how PF and VF talk

Tags in comments, each with its reason: SILENT: the datasheet does not say; CONFLICT: sources disagree; SKIPPED: left out.
"""
