# SPDX-License-Identifier: BSD-3-Clause
"""Types of dataplane.graph.copying, which has C functions only."""
