# SPDX-License-Identifier: BSD-3-Clause
"""Facts about this machine, and changes of its cards' kernel drivers.

- `host`: facts from /proc, /sys and /dev
- `binding`: changes the kernel driver of a card
- `served`: finds the NICs served on this machine
"""
