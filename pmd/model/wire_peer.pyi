# SPDX-License-Identifier: BSD-3-Clause
"""Types of pmd.model.wire_peer."""

from dataplane.pmd.model.engine import Engine, Wire

class PeerWire(Wire):
    port: Engine
    connected: bool
    why: str | None
    sent: int
    received: int
    lost: int
    def __init__(self, port: Engine) -> None: ...
    def connect(self, fd: int) -> None: ...
    def disconnect(self) -> None: ...
    def tend(self) -> bool: ...
    def close(self) -> None: ...
