# SPDX-License-Identifier: BSD-3-Clause
"""Types of pmd.model.wire.tap."""

from dataplane.pmd.model.datapath.engine import Engine, Wire
from dataplane.pmd.model.netem.conditions import Netem

class TapWire(Wire):
    port: Engine
    name: str
    to_kernel: int
    from_kernel: int
    refused: int
    crc_errors: int
    gone: bool
    up: bool
    def __init__(
        self,
        port: Engine,
        name: str,
        netem: Netem | None = None,
        *,
        up: bool = True,
        mtu: int | None = None,
        elastic: bool = True,
    ) -> None: ...
    def close(self) -> None: ...
