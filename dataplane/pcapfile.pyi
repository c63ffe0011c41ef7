# SPDX-License-Identifier: BSD-3-Clause
"""Types of dataplane.pcapfile."""

import os
from collections.abc import Iterator
from typing import NamedTuple

from dataplane.errors import PcapError

LINK_ETHERNET: int

class Record(NamedTuple):
    timestamp_ns: int
    data: bytes
    wire_length: int

class PcapReader:
    path: str
    nanosecond: bool
    snaplen: int
    link_type: int
    records: int
    def __init__(self, path: str | os.PathLike[str], *, preload: bool = False) -> None: ...
    @property
    def fcs_length(self) -> int: ...
    def rewind(self) -> None: ...
    def error(self) -> PcapError | None: ...
    def __iter__(self) -> Iterator[Record]: ...
    def __next__(self) -> Record: ...

class PcapWriter:
    path: str
    snaplen: int
    nanosecond: bool
    error: int
    frames: int
    lost: int
    lost_bytes: int
    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        snaplen: int = 262144,
        nanosecond: bool = False,
        link_type: int = 1,
    ) -> None: ...
    def write(self, frame: bytes, timestamp_ns: int = 0) -> None: ...
    def flush(self) -> None: ...
    def close(self) -> None: ...
    def failure(self) -> PcapError | None: ...
    @property
    def bytes(self) -> int: ...
    @property
    def closed(self) -> bool: ...
    def __enter__(self) -> PcapWriter: ...
    def __exit__(self, *exc: object) -> None: ...
