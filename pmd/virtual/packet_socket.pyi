# SPDX-License-Identifier: BSD-3-Clause
"""Types of pmd.virtual.packet_socket."""

import mmap
import socket as sockets

from dataplane.pmd.virtual.queue import VirtualRx, VirtualTx

RING_BLOCKS: int
RING_BLOCK_SIZE: int

class PacketRx(VirtualRx):
    socket: sockets.socket | None
    outages: int
    def open(self, packet_socket: sockets.socket, ring: mmap.mmap, interface: int) -> None: ...
    def pass_on(self, others: bool) -> None: ...
    def count_drops(self) -> None: ...
    def close(self) -> None: ...

class PacketTx(VirtualTx):
    def open(self, fd: int, interface: int = 0) -> None: ...
