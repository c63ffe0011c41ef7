# SPDX-License-Identifier: BSD-3-Clause
"""Types of pmd.model.wire.port."""

from dataplane.pmd.model.datapath.engine import Engine, Wire
from dataplane.pmd.model.netem.conditions import Netem

class PortWire(Wire):
    a: Engine
    b: Engine
    def __init__(self, a: Engine, b: Engine, netem: Netem | None = None, *, elastic: bool = True) -> None: ...

class LoopPlug(Wire):
    port: Engine
    def __init__(self, port: Engine, netem: Netem | None = None, *, elastic: bool = True) -> None: ...
