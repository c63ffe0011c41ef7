# SPDX-License-Identifier: BSD-3-Clause
"""The measures: each records rows of the table, by the fixtures of `bench/conftest.py`.

- `test_apps`: pipelines between null ports and round a ring
- `test_command`: the demo's rate, and a forwarder's memory
- `test_memory`: mempool and ring, beside DPDK's
- `test_model`: the steps of the model alone
- `test_nic`: the PF driver's bursts on the model
- `test_peer_nic`: the driver beside DPDK's net_ixgbe
- `test_peer_programs`: pipelines beside testpmd and DPDK's l2fwd
- `test_pktgen`: the generator
- `test_ports`: virtual ports
- `test_queues`: many queues, idle and busy
- `test_sriov`: costs of VFs
"""
