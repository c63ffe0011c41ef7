# SPDX-License-Identifier: BSD-3-Clause
"""Types of pmd.virtual.tap."""

from dataplane.pmd.portstring import PortString
from dataplane.pmd.virtual.port import VirtualPort

class TapPort(VirtualPort):
    interface: str
    def __init__(self, name: str, interface: str, queues: int = 1) -> None: ...

def open_port(spec: PortString) -> TapPort: ...
