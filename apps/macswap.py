# SPDX-License-Identifier: BSD-3-Clause
"""MacSwap: sends every frame back to where it came from. The app to copy when you write your own in NumPy."""

from __future__ import annotations

from dataplane import App, Burst, eth


class MacSwap(App):
    """Swaps source and destination address. Columns are copies, so there is no order to mind."""

    edges = ("out",)

    def clone(self) -> MacSwap:
        """It has no state."""
        return type(self)()

    def process(self, burst: Burst) -> None:
        """All packets of a burst at once; None means that they leave by the first edge."""
        burst[eth.src, eth.dst] = burst[eth.dst, eth.src]
