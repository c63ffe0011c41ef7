# SPDX-License-Identifier: BSD-3-Clause
"""A wire to a tap device: the kernel at the other end of the cable."""

import os
import socket
import subprocess
import time
from pathlib import Path

import pytest

from dataplane.errors import ConfigError, PortError
from dataplane.pmd.model.shared import Clock
from dataplane.pmd.model.wire_tap import TapWire
from tests.pmd.model.rig import MAC, Port, frame

NAME = f"dpt{os.getpid() % 100000}"


def needs_root(test):
    return pytest.mark.root(
        pytest.mark.skipif(os.geteuid() != 0, reason="makes a network device: needs root")(test)
    )


@pytest.fixture
def port():
    port = Port("a", Clock(virtual=False), size=1 << 20)
    port.tx_queue(n=64), port.rx_queue(n=64)
    port.write(0x05080, 0x700)
    return port


@pytest.fixture
def wire(port):
    wire = TapWire(port.engine, NAME)
    # Nothing of the kernel's own: no router solicitations, no reports of groups.
    Path(f"/proc/sys/net/ipv6/conf/{NAME}/disable_ipv6").write_text("1")
    yield wire
    wire.close()


def step_until(port, condition, seconds=3.0):
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, "it never happened"
        port.step()
    return result


@needs_root
def test_both_ways(port, wire):
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88B5)) as kernel:
        kernel.bind((NAME, 0x88B5))
        kernel.settimeout(3.0)
        port.tx[0].send(frame(100, dst=b"\xff" * 6))
        port.step(2)
        assert kernel.recv(2000) == frame(100, dst=b"\xff" * 6)
        kernel.send(frame(200))
        (got,) = step_until(port, port.rx[0].take)
        assert got.data == frame(200)
        kernel.send(frame(30))
        (got,) = step_until(port, port.rx[0].take)
        assert got.data == frame(30).ljust(60, b"\0")
    assert wire.to_kernel == 1 and wire.from_kernel == 2 and port.engine.is_wire_up


@needs_root
def test_many_frames_in_order(port, wire):
    """The kernel says things of its own on a new interface (IPv6): only our frames are looked at."""

    def ours(taken):
        return [each.data for each in taken if each.data[12:14] == b"\x88\xb5"]

    got = []
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88B5)) as kernel:
        kernel.bind((NAME, 0x88B5))
        for n in range(300):
            kernel.send(frame(60 + n))
            port.step()
            got += ours(port.rx[0].take())
        while len(got) < 300:
            got += ours(step_until(port, port.rx[0].take))
    assert got == [frame(60 + n) for n in range(300)]


@needs_root
def test_a_device_that_is_down(port, wire):
    subprocess.run(["ip", "link", "set", NAME, "down"], check=True)
    port.tx[0].send(frame(64, dst=MAC))
    port.step(3)
    assert wire.refused == 1 and port.tx[0].head == 1


@needs_root
def test_a_device_that_goes_away(port, wire):
    subprocess.run(["ip", "link", "delete", NAME], check=True)
    step_until(port, lambda: wire.gone)
    assert not port.engine.is_wire_up
    port.tx[0].send(frame(64))
    port.step(2)


@needs_root
def test_names(port):
    with pytest.raises(PortError, match="no tap: choose another name"):
        TapWire(port.engine, "lo")
    wire = TapWire(port.engine, NAME, mtu=9000)
    assert Path(f"/sys/class/net/{NAME}/mtu").read_text() == "9000\n"
    with pytest.raises(PortError, match="another program holds it"):
        TapWire(Port("b").engine, NAME)
    with pytest.raises(ConfigError, match="has a wire already"):
        TapWire(port.engine, "other")
    wire.close()
    assert not Path(f"/sys/class/net/{NAME}").exists()


@pytest.mark.parametrize("name", ["", "a" * 16, "a/b", " x"])
def test_impossible_names(port, name):
    with pytest.raises(ConfigError, match="is no name for a network device"):
        TapWire(port.engine, name)
