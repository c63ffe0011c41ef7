# SPDX-License-Identifier: BSD-3-Clause
"""``raw_frames.py IFACE SOURCE DESTINATION COUNT [VID]``: sends frames with any addresses, tagged or not, of no protocol."""

from __future__ import annotations

import socket
import sys

ETHERTYPE = "88b5"  # for local experiments: no network stack answers it, and RSS does not hash it


def send(interface: str, source: str, destination: str, count: int, vid: int | None = None) -> None:
    """Of 78 bytes, and a tag if `vid` is one."""
    tag = "" if vid is None else f"8100{vid:04x}"
    head = bytes.fromhex(destination.replace(":", "") + source.replace(":", "") + tag + ETHERTYPE)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as port:
        port.bind((interface, 0))
        for _ in range(count):
            port.send(head + bytes(64))


if __name__ == "__main__":
    send(*sys.argv[1:4], *map(int, sys.argv[4:]))
