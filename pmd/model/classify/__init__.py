# SPDX-License-Identifier: BSD-3-Clause
"""Which pools and queues receive a frame: `packet` parses it, `filter` is the MAC's address filter, `pools` selects
pools by address and VLAN, `steer` selects a queue by filters and RSS, `director` is the flow director.
"""
