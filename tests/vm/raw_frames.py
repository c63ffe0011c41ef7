# SPDX-License-Identifier: BSD-3-Clause
"""``raw_frames.py IFACE SOURCE DESTINATION COUNT``: sends frames with any source address."""

from __future__ import annotations

import socket
import sys


def send(interface: str, source: str, destination: str, count: int) -> None:
    """Of 78 bytes, with an EtherType for experiments."""
    head = bytes.fromhex(destination.replace(":", "") + source.replace(":", "") + "88b5")
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as port:
        port.bind((interface, 0))
        for _ in range(count):
            port.send(head + bytes(64))


if __name__ == "__main__":
    send(*sys.argv[1:4], int(sys.argv[4]))
