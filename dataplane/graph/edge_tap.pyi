# SPDX-License-Identifier: BSD-3-Clause
"""Types of dataplane.graph.edge_tap."""

from dataplane.app import App
from dataplane.mempool import Mempool

class EdgeTap(App):
    mempool: Mempool | None
    def __init__(self, name: str = "tap", mempool: Mempool | None = None) -> None: ...
