# SPDX-License-Identifier: BSD-3-Clause
"""Types of pmd.model.wire.peer."""

from dataplane.files.closer import Closer
from dataplane.pmd.model.datapath.engine import Engine, Wire
from dataplane.pmd.model.netem.conditions import Netem

RING_MEMORY: int

class PeerWire(Wire):
    port: Engine
    connected: bool
    why: str | None
    sent: int
    received: int
    lost: int
    closer: Closer
    def __init__(self, port: Engine, netem: Netem | None = None, *, elastic: bool = True) -> None: ...
    def connect(self, fd: int, memory: int, first: bool) -> None: ...
    def disconnect(self) -> None: ...
    def tend(self) -> bool: ...
    def rest(self, seconds: float) -> bool: ...
    def close(self) -> None: ...
