# SPDX-License-Identifier: BSD-3-Clause
"""Types of dataplane.byhand."""

from collections.abc import Iterable
from typing import NamedTuple

from dataplane.mempool import Mempool
from dataplane.queue import RxQueue, TxQueue

class ReceivedPacket(NamedTuple):
    data: bytes
    timestamp_ns: int | None
    port: int
    segments: int
    vlan_tci: int
    ol_flags: int
    rss_hash: int
    packet_type: int
    original_length: int

TX_FLAGS: dict[str, int]

class Offload(NamedTuple):
    flags: str
    vlan_tci: int = 0
    l2_len: int = 14
    l3_len: int = 20
    l4_len: int = 0
    tso_segsz: int = 0

class Held:
    def __init__(self, mempool: Mempool, n: int | None = None) -> None: ...
    def release(self) -> None: ...
    def __len__(self) -> int: ...
    def __enter__(self) -> Held: ...
    def __exit__(self, *exc: object) -> None: ...

def receive_packets(queue: RxQueue, n: int = 32) -> list[ReceivedPacket]: ...
def receive(queue: RxQueue, n: int = 32, timeout: float = 0.0) -> list[bytes]: ...
def send(
    queue: TxQueue,
    frames: Iterable[bytes],
    mempool: Mempool | None = None,
    *,
    segment: int = 0,
    timestamp_ns: int | None = None,
    timeout: float = 0.0,
    offload: Offload | None = None,
) -> int: ...
