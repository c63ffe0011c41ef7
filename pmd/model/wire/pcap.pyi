# SPDX-License-Identifier: BSD-3-Clause
"""Types of pmd.model.wire.pcap."""

import os

from dataplane.files.pcapfile import PcapReader, PcapWriter
from dataplane.pmd.model.datapath.engine import Engine, Wire
from dataplane.pmd.model.netem.conditions import Netem

class PcapWire(Wire):
    port: Engine
    reader: PcapReader | None
    writer: PcapWriter | None
    timing: bool
    finished: bool
    loops: int
    recorded: int
    played: int
    skipped: int
    discarded: int
    def __init__(
        self,
        port: Engine,
        record: str | os.PathLike[str] | None = None,
        play: str | os.PathLike[str] | None = None,
        netem: Netem | None = None,
        *,
        timing: bool = False,
        loops: int = 1,
        elastic: bool = True,
    ) -> None: ...
    def prepare(self) -> None: ...
    def begin(self) -> None: ...
    def check(self) -> None: ...
    def close(self) -> None: ...
