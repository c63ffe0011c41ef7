# SPDX-License-Identifier: BSD-3-Clause
"""Types of apps.counter."""

from dataplane.app import App

class Counter(App):
    @property
    def packets(self) -> int: ...
    @property
    def bytes(self) -> int: ...

class Sink(App):
    bytes: int
    @property
    def packets(self) -> int: ...
