# SPDX-License-Identifier: BSD-3-Clause
"""A wire to a tap device: the kernel at the other end of the cable."""

import os
import socket
import subprocess
import time
from pathlib import Path

import pytest
from chip_fixtures import Chip

from dataplane.errors import ConfigError, PortError
from dataplane.pmd.datasheet import CRCERRS, EICR, GPRC, LINKS, RXMPC, RXPBSIZE, STATUS
from dataplane.pmd.model.netem.conditions import Netem
from dataplane.pmd.model.shared import Clock
from dataplane.pmd.model.wire.tap import TapWire
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
def test_a_device_that_goes_down_takes_the_link_with_it():
    """And brings it back: LINKS, STATUS and the interrupt say so."""

    def ip(state):
        subprocess.run(["ip", "link", "set", NAME, state], check=True)

    with Chip() as chip:
        with chip.card.lock:
            wire = TapWire(chip.chip.engine, NAME)

        def wait(up):
            deadline = time.monotonic() + 10
            while chip.bar.get(LINKS.UP) != up:
                assert time.monotonic() < deadline, "the link does not follow the device"
                chip.bar.sleep(0.001)

        wait(1)
        for _ in range(2):
            chip.bar.read(EICR)
            ip("down")
            wait(0)
            assert not wire.up and chip.bar.get(STATUS.LINK_UP) == 0 and chip.bar.get(EICR.LSC) == 1
            ip("up")
            wait(1)
            assert wire.up and chip.bar.get(EICR.LSC) == 1
        with chip.card.lock:
            chip.chip.engine_runs(1 << 2)  # CTRL.GIO_DIS: a driver that is not ready sees it as well
        ip("down")
        wait(0)
        with chip.card.lock:
            wire.close()


@needs_root
def test_a_wire_that_does_not_wait_empties_the_kernel_s_queue(port):
    wire = TapWire(port.engine, NAME, elastic=False)
    port.write(RXPBSIZE[0], 32 << 10)
    sent = 0
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88B5)) as kernel:
        kernel.bind((NAME, 0x88B5))
        while port.read(RXMPC[0]) < 200:
            kernel.send(frame(1000))
            sent += 1
            assert sent < 5000, "nothing is lost"
            port.step()
    kept = len(port.rx[0].take())
    port.step(2)
    while taken := len(port.rx[0].take()):
        kept += taken
        port.step(2)
    assert kept + port.clear(RXMPC[0]) == wire.from_kernel >= sent
    wire.close()


@needs_root
def test_what_is_in_flight_to_and_from_the_kernel(port):
    wire = TapWire(port.engine, NAME, Netem(corrupt=0.3, duplicate=0.2, delay_ns=50_000))
    Path(f"/proc/sys/net/ipv6/conf/{NAME}/disable_ipv6").write_text("1")
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88B5)) as kernel:
        kernel.bind((NAME, 0x88B5))
        for _ in range(200):
            port.tx[0].send(frame(100, dst=b"\xff" * 6))
            kernel.send(frame(200))
            port.step(2)
        out, into = wire.outward, wire.inward
        step_until(port, lambda: out.sent == 200 and into.sent >= 200 and not out.in_flight + into.in_flight)
        step_until(port, lambda: wire.to_kernel + wire.crc_errors == out.delivered)
    assert wire.crc_errors == out.corrupted > 20 and out.duplicated > 10
    assert port.clear(CRCERRS) == into.corrupted > 20 and wire.from_kernel == into.sent
    assert port.clear(GPRC) == into.delivered - into.corrupted
    wire.close()


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
