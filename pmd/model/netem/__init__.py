# SPDX-License-Identifier: BSD-3-Clause
"""Delay, loss, reordering and other impairments of a wire: how they are configured (`conditions`), and the frames that
are under way (`flight`). The names are those of Linux's netem.
"""
