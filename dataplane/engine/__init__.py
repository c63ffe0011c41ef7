# SPDX-License-Identifier: BSD-3-Clause
"""Runs: an lcore's loop (`lcore`), the plan that it walks (`plan`), and how runs start, change and end.

`running` has `Run`; `stepper` runs laps in the caller's thread. `assembly` makes plans from checked graphs, `replacing`
swaps them between two laps, `lease` and `claim` say who uses ports and stages, `profiler` measures, and `runnable` is the
part of a pipeline that a run uses. `worker` is the thread of an lcore, `stepping` runs several loops by turns, and `idle`
decides what an lcore does without packets.
"""
