# SPDX-License-Identifier: BSD-3-Clause
"""The kernel's network stack on both sides of l2fwd: pings, and a TCP transfer whose checksums must agree."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.root

MEGABYTES = 256
PINGS = 1000
LEFT, RIGHT = "10.77.0.1", "10.77.0.2"
TRANSFER = str(Path(__file__).with_name("transfer.py"))


def joined_by_af_packet(net):  # type: ignore[no-untyped-def]
    """left -- veth -- [A l2fwd B] -- veth -- right; A and B are in a namespace of their own."""
    left, middle, right = (net.namespace(name) for name in ("left", "middle", "right"))
    net.veth(left, "end", middle, "A")
    net.veth(right, "end", middle, "B")
    net.sh(left, f"ip addr add {LEFT}/24 dev end")
    net.sh(right, f"ip addr add {RIGHT}/24 dev end")
    return left, right, net.dataplane(middle, "l2fwd", "af_packet:A", "af_packet:B")


def joined_by_the_model(net):  # type: ignore[no-untyped-def]
    """left -- tap -- wire -- model0 [l2fwd] model1 -- wire -- tap -- right."""
    left, middle, right = (net.namespace(name) for name in ("left", "middle", "right"))
    forwarder = net.dataplane(middle, "l2fwd", "model0,wire=tap:A", "model1,wire=tap:B")
    for namespace, tap, address in ((left, "A", LEFT), (right, "B", RIGHT)):
        forwarder.until(lambda tap=tap: f" {tap}:" in net.sh(middle, "ip -o link"), f"interface {tap}")
        net.sh(middle, f"ip link set {tap} netns {namespace}")
        net.plain(namespace, tap, f"{address}/24")
    return left, right, forwarder


@pytest.mark.parametrize("join", [joined_by_af_packet, joined_by_the_model])
def test_ping_and_tcp(net, join: Callable) -> None:  # type: ignore[no-untyped-def, type-arg]
    left, right, forwarder = join(net)
    probe = net.start(left, "ping", "-q", "-c", "1", "-w", "20", RIGHT)
    assert probe.wait() == 0, f"no answer at all:\n{probe.output()}\n{forwarder.output()}"

    ping = net.start(left, "ping", "-q", "-c", str(PINGS), "-i", "0.002", "-W", "5", RIGHT)
    ping.wait(60)
    assert re.search(rf"{PINGS} packets transmitted, {PINGS} received, 0% packet loss", ping.output()), (
        ping.output()
    )

    server = net.start(right, sys.executable, TRANSFER, "serve", "5001")
    server.until(lambda: "listening" in server.output(), "listening socket")
    client = net.start(left, sys.executable, TRANSFER, "send", RIGHT, "5001", str(MEGABYTES))
    assert client.wait(150) == 0, client.output()
    assert server.wait(60) == 0, server.output()
    assert server.out.read_text().split()[-1] == client.out.read_text().split()[0]

    assert forwarder.stop() == 0, forwarder.output()
    report = net.report(forwarder)
    assert report["ok"]
    assert report["app"] == "l2fwd"
    # Both directions: the pings, their answers and at least the full segments of the transfer.
    received = sum(port["rx_good_packets"] for port in report["ports"].values())
    assert received >= 2 * PINGS + MEGABYTES * (1 << 20) // 1448
