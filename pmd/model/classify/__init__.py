# SPDX-License-Identifier: BSD-3-Clause
"""Which pools and queues receive a frame.

- `packet`: parses it, and checks its checksums
- `filter`: the MAC's filters: unicast, multicast, broadcast, VLAN
- `pools`: selects pools by address and VLAN
- `steer`: selects a queue by filters and RSS
- `director`: the flow director
"""
