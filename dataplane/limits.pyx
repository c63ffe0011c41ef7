# SPDX-License-Identifier: BSD-3-Clause
"""Sizes of Ethernet frames (IEEE 802.3) and of bursts, in bytes and packets. `limits.pxd` has the values, and says what each is."""
