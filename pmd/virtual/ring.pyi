# SPDX-License-Identifier: BSD-3-Clause
"""Types of pmd.virtual.ring."""

from dataplane.pmd.portstring import PortString
from dataplane.pmd.virtual.port import VirtualPort

class RingPort(VirtualPort):
    def __init__(
        self,
        name: str,
        source: str,
        target: str,
        slots: int | None = None,
        single: bool | None = None,
    ) -> None: ...

def open_port(spec: PortString) -> RingPort: ...
