# SPDX-License-Identifier: BSD-3-Clause
"""Types of dataplane.graph.handoff."""

from dataplane.app import App, Source

HANDOFF_SLOTS: int

class Channel:
    def __init__(self, slots: int = ...) -> None: ...
    closed: int
    gone: int
    sent: int
    taken: int
    @property
    def slots(self) -> int: ...
    @property
    def held(self) -> int: ...

class HandoffTx(App):
    channel: Channel
    rx: HandoffRx
    def __init__(self, slots: int = ..., *, burst: int = 32) -> None: ...
    waits: bool
    def be_waiting(self, waits: bool) -> None: ...
    def discard(self, reason: str) -> int: ...

class HandoffRx(Source):
    channel: Channel
    def __init__(self, channel: Channel, burst: int = 32) -> None: ...
