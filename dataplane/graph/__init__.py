# SPDX-License-Identifier: BSD-3-Clause
"""Graphs: chains of stages, checked, and placed on lcores.

- `graph`: puts chains together and checks them
- `stage_options`: options of a pipeline by stage: lcores, full hand-offs
- `placing`: which lcore has which app; hand-offs and plans for that
- `lanes`: one pipeline on several lcores, each with queues and clones of its own
- `handoff`: an edge between two lcores: a ring, and a stage at each end
- `endpoint`: the stages around a queue: the head and the tail of a pipeline
- `taps`: sets and removes copies of what passes an edge
- `edge_tap`: EdgeTap: the app that a tap puts on an edge
- `copying`: copies a packet, for taps and for `Tee`
- `blocks`: Frames and Collect: stages to try an app without a port
"""
