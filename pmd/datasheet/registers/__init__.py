# SPDX-License-Identifier: BSD-3-Clause
"""The registers of the PF's BAR0, one a line with its section, by chapters of the datasheet. `dataplane.pmd.datasheet` has
their names.
"""
