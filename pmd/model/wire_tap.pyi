# SPDX-License-Identifier: BSD-3-Clause
"""Types of pmd.model.wire_tap."""

from dataplane.pmd.model.engine import Engine, Wire

class TapWire(Wire):
    port: Engine
    name: str
    to_kernel: int
    from_kernel: int
    refused: int
    gone: bool
    def __init__(self, port: Engine, name: str, *, up: bool = True, mtu: int | None = None) -> None: ...
    def close(self) -> None: ...
