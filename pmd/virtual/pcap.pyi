# SPDX-License-Identifier: BSD-3-Clause
"""Types of pmd.virtual.pcap."""

from dataplane.pmd.portstring import PortString
from dataplane.pmd.virtual.port import VirtualPort

class PcapPort(VirtualPort):
    speed: str
    loop: int
    def __init__(
        self,
        name: str,
        source: str = "",
        target: str = "",
        *,
        speed: str = "max",
        loop: int = 1,
        preload: bool = False,
        nanosecond: bool = False,
        snaplen: int = 262144,
    ) -> None: ...
    @property
    def done(self) -> bool: ...

def open_port(spec: PortString) -> PcapPort: ...
