# SPDX-License-Identifier: BSD-3-Clause
"""Header fields as NumPy columns, and Python functions as compiled apps.

- `burst`: what ``process`` gets: columns of all packets, and each packet as a view
- `field`: where a field is in a frame, and the loops that gather and scatter it
- `headers`: the fields of Ethernet, VLAN, ARP, IPv4, IPv6, ICMP, UDP and TCP
- `numbers`: reads whole numbers from an int or an array
- `native`: Native: an app that is one C function
- `jit`: compiles a plain Python function with numba
"""
