# SPDX-License-Identifier: BSD-3-Clause
"""Reports of a run.

- `stats`: Report: the result of a run; Sampler: its rates while it runs
- `balance`: the sums that must agree: packets that came and packets that went, of a run and of a port
- `accounts`: reads ports and mempools when a run begins and ends, and makes these balances
- `figures`: numbers as text, with units
"""
