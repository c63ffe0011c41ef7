# SPDX-License-Identifier: BSD-3-Clause
"""Types of pmd.model.wire."""

from dataplane.pmd.model.engine import Engine, Wire

class PortWire(Wire):
    a: Engine
    b: Engine
    loss: float
    corrupt: float
    delay_ns: int
    rate: float | None
    elastic: bool
    def __init__(
        self,
        a: Engine,
        b: Engine,
        *,
        loss: float = 0.0,
        corrupt: float = 0.0,
        delay_ns: int = 0,
        rate: float | None = None,
        elastic: bool = True,
        seed: int = 0,
    ) -> None: ...
    @property
    def lost(self) -> tuple[int, int]: ...
    @property
    def corrupted(self) -> tuple[int, int]: ...

class LoopPlug(Wire):
    port: Engine
    def __init__(self, port: Engine) -> None: ...
