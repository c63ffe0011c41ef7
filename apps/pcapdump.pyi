# SPDX-License-Identifier: BSD-3-Clause
"""Types of apps.pcapdump."""

import os
from pathlib import Path

from dataplane.app import App

class PcapDump(App):
    file: Path
    snaplen: int
    nanosecond: bool
    count: int | None
    rotate_bytes: int | None
    rotate_seconds: float | None
    files: list[Path]
    def __init__(
        self,
        file: str | os.PathLike[str],
        snaplen: int = 262144,
        count: int | None = None,
        rotate_bytes: int | None = None,
        rotate_seconds: float | None = None,
        nanosecond: bool = True,
    ) -> None: ...
    @property
    def frames(self) -> int: ...
    @property
    def full(self) -> bool: ...
