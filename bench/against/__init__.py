# SPDX-License-Identifier: BSD-3-Clause
"""This tree beside another revision of it, measured by turns: `python -m bench.against REV`.

- `tree`: another revision: its files in a temporary folder, built there
- `turns`: measures two trees by turns, a process each
- `worker`: the process of one tree
- `workloads`: the rows: what is measured in each tree
- `report`: the table
"""
