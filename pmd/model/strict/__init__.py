# SPDX-License-Identifier: BSD-3-Clause
"""The strict manner: accesses that the datasheet forbids are refused or reported.

`pf` and `vf` check each access of a function, `rules` is the table of what a write must not do, `findings` collects reports.
"""
