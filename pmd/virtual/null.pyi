# SPDX-License-Identifier: BSD-3-Clause
"""Types of pmd.virtual.null."""

from dataplane.pmd.portstring import PortString
from dataplane.pmd.virtual.port import VirtualPort

class NullPort(VirtualPort):
    size: int
    zero: bool
    def __init__(self, name: str, size: int = 64, zero: bool = False) -> None: ...

def open_port(spec: PortString) -> NullPort: ...
