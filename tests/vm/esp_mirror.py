# SPDX-License-Identifier: BSD-3-Clause
"""Sends ESP packets back where they came from, for hosts whose kernel has no IPsec.

``esp_mirror.py IFACE``: prints each packet in hexadecimal and returns it with its addresses swapped, until it is killed.
Neither the IPv4 checksum nor what ESP signs changes by that, so the sender must take it if the way back has the same keys.
"""

from __future__ import annotations

import socket
import sys

_IPV4, _ESP, _OUTGOING = 0x0800, 50, 4


def main() -> None:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_IPV4)) as port:
        port.bind((sys.argv[1], _IPV4))
        print("listening", flush=True)
        while True:
            data, (_, _, kind, _, _) = port.recvfrom(2048)
            if kind == _OUTGOING or len(data) < 34 or data[14] != 0x45 or data[23] != _ESP:
                continue
            size = 14 + int.from_bytes(data[16:18])
            print(data[14:size].hex(), flush=True)
            port.send(data[6:12] + data[:6] + data[12:26] + data[30:34] + data[26:30] + data[34:size])


if __name__ == "__main__":
    main()
