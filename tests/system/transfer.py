# SPDX-License-Identifier: BSD-3-Clause
"""The two ends of a TCP transfer, ``serve PORT`` and ``send HOST PORT MEGABYTES``; each prints a SHA-256."""

from __future__ import annotations

import hashlib
import socket
import sys
import time

CHUNK = 1 << 20


def serve(port: int) -> str:
    digest = hashlib.sha256()
    with socket.create_server(("", port)) as server:
        print("listening", flush=True)
        connection, _ = server.accept()
        with connection:
            connection.settimeout(60)
            while data := connection.recv(CHUNK):
                digest.update(data)
    return digest.hexdigest()


def send(host: str, port: int, megabytes: int) -> str:
    digest = hashlib.sha256()
    with socket.create_connection((host, port), timeout=60) as connection:
        for number in range(megabytes):
            # Every megabyte differs, so that one that is lost, doubled or misplaced changes the sum.
            data = hashlib.shake_128(number.to_bytes(4)).digest(CHUNK)
            digest.update(data)
            connection.sendall(data)
    return digest.hexdigest()


if __name__ == "__main__":
    began = time.monotonic()
    if sys.argv[1] == "serve":
        print(serve(int(sys.argv[2])))
    else:
        print(send(sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
        print(f"{time.monotonic() - began:.1f} s", file=sys.stderr)
