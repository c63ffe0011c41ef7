# SPDX-License-Identifier: BSD-3-Clause
"""The driver's link follows the tap at the other end of its wire, wherever that has been moved to."""

from __future__ import annotations

import sys

import pytest
from netns import Net

pytestmark = pytest.mark.root

WATCH = """
import time
from dataplane import probe

with probe("model0,manner=strict,wire=tap:t0") as port:
    port.rx(0), port.tx(0)
    port.start()
    seen, end = None, time.monotonic() + 120
    while time.monotonic() < end:
        if port.link.up is not seen:
            seen = port.link.up
            print("up" if seen else "down", flush=True)
        time.sleep(0.005)
"""


def test_link(net: Net) -> None:
    here, there = net.namespace("here"), net.namespace("there")
    watcher = net.start(here, sys.executable, "-c", WATCH)
    seen = ["up"]

    def follows(*states: str) -> None:
        seen.extend(states)
        watcher.until(lambda: watcher.out.read_text().split()[-len(seen) :] == seen, f"link {states}", 30)

    follows()
    for _ in range(2):
        net.sh(here, "ip link set t0 down")
        follows("down")
        net.sh(here, "ip link set t0 up")
        follows("up")
    net.sh(here, f"ip link set t0 netns {there}")  # moved: the kernel takes it down
    follows("down")
    net.sh(there, "ip link set t0 up")
    follows("up")
    net.sh(there, "ip link set t0 down")
    follows("down")
