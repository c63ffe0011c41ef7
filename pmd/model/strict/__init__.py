# SPDX-License-Identifier: BSD-3-Clause
"""The strict manner: accesses that the datasheet forbids are refused or reported.

- `pf`, `vf`: check each access of a function before it happens
- `rules/`: what single registers must not be written with
- `findings`: collects the violations, for a card that reports instead of raising
"""
