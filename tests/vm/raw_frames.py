# SPDX-License-Identifier: BSD-3-Clause
"""``raw_frames.py IFACE SOURCE DESTINATION COUNT``: sends frames with any source address."""

from __future__ import annotations

import socket
import sys

if __name__ == "__main__":
    interface, source, destination, count = sys.argv[1:]
    head = bytes.fromhex(destination.replace(":", "") + source.replace(":", "") + "88b5")
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as port:
        port.bind((interface, 0))
        for _ in range(int(count)):
            port.send(head + bytes(64))
