# SPDX-License-Identifier: BSD-3-Clause
"""Delay, loss, reordering and other impairments of a wire, with the names of Linux's netem.

- `conditions`: how they are configured
- `flight`: the frames that are under way
"""
