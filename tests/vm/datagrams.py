# SPDX-License-Identifier: BSD-3-Clause
"""``datagrams.py HOST FLOWS EACH``: UDP datagrams of many flows, each from a port of its own, to the discard port."""

from __future__ import annotations

import socket
import sys
import time

if __name__ == "__main__":
    host, flows, each = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    for number in range(flows):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            # Ports all over the range: the hash of neighbours may differ in few bits.
            sender.bind(("", 1024 + number * 40503 % 64000))
            for _ in range(each):
                sender.sendto(b"x" * 64, (host, 9))
        time.sleep(0.002)
