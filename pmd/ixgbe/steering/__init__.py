# SPDX-License-Identifier: BSD-3-Clause
"""Which packets a port receives and which of its queues gets each: filters, pools, RSS, flows (datasheet 7.1.1, 7.1.2)."""
