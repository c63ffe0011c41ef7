# SPDX-License-Identifier: BSD-3-Clause
"""Runs: how they start, what lcores do, how they change and end.

- `running`: Run, `run`, `start`: pipelines on lcores of their own
- `runnable`: the part of a pipeline that a run uses
- `assembly`: checks graphs, claims stages, starts ports, makes plans, and undoes that
- `plan`: what an lcore runs: apps, the links between them, queues
- `lcore`: the loop that polls the sources of a plan
- `worker`: the thread of an lcore
- `idle`: what an lcore does after laps without a packet
- `replacing`: swaps the plans of a run between two laps
- `lease`: which run uses a stage, and which runs use a port
- `claim`: which files of this program are read, and which are written
- `profiler`: cycles per packet of each app
- `stepper`: Stepper: laps in the caller's thread
- `stepping`: loops of several lcores by turns, for the stepper
"""
