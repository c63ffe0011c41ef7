# SPDX-License-Identifier: BSD-3-Clause
"""A VF as a port: its agreement with the PF, and what it may change itself (datasheet 7.10, 9)."""
