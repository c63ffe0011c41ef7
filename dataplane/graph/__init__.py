# SPDX-License-Identifier: BSD-3-Clause
"""Graphs: `graph` checks chains of stages; `placing`, `lanes` and `stage_options` place them on lcores, and `handoff` is an
edge between two lcores. Stages that need no port or that the graph adds itself: `blocks` to try an app,
`endpoint` for queues, `edge_tap` and `copying` for taps (`taps`).
"""
