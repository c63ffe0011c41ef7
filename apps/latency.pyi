# SPDX-License-Identifier: BSD-3-Clause
"""Types of apps.latency."""

from dataplane.app import App

class Latency(App):
    received: int
    foreign: int
    reordered: int
    duplicates: int
    @property
    def lost(self) -> int: ...
    def quantile(self, share: float) -> float | None: ...
    def summary(self, sent: int | None = None) -> dict[str, int | float | None]: ...
