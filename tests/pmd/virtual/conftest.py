# SPDX-License-Identifier: BSD-3-Clause
"""Network namespaces of the tests' own, and sockets on their interfaces. Tests that need root are skipped without it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import socket
import subprocess
import time
from pathlib import Path

import pytest

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def pytest_collection_modifyitems(items):
    if os.geteuid() != 0:
        for item in items:
            if item.get_closest_marker("root"):
                item.add_marker(
                    pytest.mark.skip(reason="makes network namespaces and interfaces: needs root")
                )


def _check(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


@contextlib.contextmanager
def new_network():
    """This thread is in an empty network namespace, which is gone afterwards with every interface in it."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    _check(_libc.unshare(CLONE_NEWNET))
    try:
        # No router solicitations and the like between the frames of a test.
        for which in ("all", "default"):
            Path(f"/proc/sys/net/ipv6/conf/{which}/disable_ipv6").write_text("1")
        yield os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    finally:
        _check(_libc.setns(before, CLONE_NEWNET))
        os.close(before)


@pytest.fixture
def network():
    with new_network() as fd:
        yield fd
    os.close(fd)


def ip(*words: str) -> None:
    """Run ip(8)."""
    subprocess.run(["ip", *" ".join(words).split()], check=True, capture_output=True, text=True)


class Tapped:
    """A raw socket on an interface: what it sends leaves there, what it sees came in there."""

    def __init__(self, interface: str, *, promiscuous: bool = True) -> None:
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.socket.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
        self.socket.setsockopt(263, 23, 1)  # SOL_PACKET, PACKET_IGNORE_OUTGOING
        self.socket.bind((interface, 3))  # ETH_P_ALL
        self.socket.setblocking(False)

    def send(self, frames: list[bytes]) -> None:
        for frame in frames:
            self.socket.send(frame)

    def collect(self, n: int, timeout: float) -> list[bytes]:
        got: list[bytes] = []
        deadline = time.monotonic() + timeout
        while len(got) < n and select.select([self.socket], [], [], max(deadline - time.monotonic(), 0))[0]:
            got.append(self.socket.recv(70_000))
        return got

    def close(self) -> None:
        self.socket.close()
