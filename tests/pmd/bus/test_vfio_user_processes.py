# SPDX-License-Identifier: BSD-3-Clause
"""A served NIC and several processes that use it, one of which is killed: the others go on, and its function is new."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from served import TIMEOUT, Served
from stopwatch import Stopwatch

from dataplane import Pipeline
from dataplane.apps import PktGen, Sink
from dataplane.byhand import receive, send
from dataplane.errors import DeviceGone
from dataplane.pmd import probe
from dataplane.pmd.bus.vfio_user import VfioUserFunction
from dataplane.pmd.datasheet import DMATXCTL, EIMS, RXCTRL, TXDCTL
from dataplane.port import Port

MARK = bytes.fromhex("88b5")


@pytest.fixture
def nic() -> Iterator[Served]:
    with Served("--vfs", "2") as served:
        yield served


@contextlib.contextmanager
def program(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A `dataplane` command in a process of its own."""
    command = [sys.executable, "-m", "dataplane", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=TIMEOUT)


def frame(port: Port, number: int) -> bytes:
    return b"\xff" * 6 + bytes.fromhex(port.mac.replace(":", "")) + MARK + number.to_bytes(46, "big")


def echoed(port: Port, within: float = TIMEOUT) -> bool:
    """Whether the other end of the wire sends frames back; waits at most `within` s."""
    deadline = time.monotonic() + within
    for number in range(1_000_000):
        sent = frame(port, number)
        if port.link.up:
            send(port.tx(0), [sent])
        back = receive(port.rx(0), 1, timeout=0.1)
        if any(each[12:] == sent[12:] for each in back):
            return True
        if time.monotonic() > deadline:
            return False
    raise AssertionError("unreachable")


def mapped_memory(nic: Served) -> int:
    """Mappings of clients' arenas in the server."""
    maps = Path(f"/proc/{nic.process.pid}/maps").read_text()
    return len(re.findall(r"memfd:dataplane-(?!82599)", maps))


def settled(nic: Served, descriptors: int, mappings: int) -> bool:
    """Whether the server has given back what it had for a client; waits for that."""
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        if nic.descriptors() <= descriptors and mapped_memory(nic) <= mappings:
            return True
        time.sleep(0.02)
    return False


def test_a_killed_client_leaves_the_nic_and_the_other_client_working(nic: Served) -> None:
    with probe(nic.port("pf0")) as port:
        port.rx(0), port.tx(0)
        port.start()
        assert nic.descriptors() and mapped_memory(nic)
        descriptors, mappings = nic.descriptors(), mapped_memory(nic)
        for _ in range(3):
            with program("macswap", nic.port("pf1")) as other:
                assert echoed(port), "the other process sends nothing back"
                other.send_signal(signal.SIGKILL)
                other.wait(timeout=TIMEOUT)
                assert settled(nic, descriptors, mappings), "what the killed client had is still there"
                sent = port.xstats()["tx_good_packets"]
                assert sent
                assert port.function.bar(0).read32(8) != 0xFFFF_FFFF
        with VfioUserFunction(str(nic.path("pf1")), "pf1") as function:
            bar = function.bar(0)
            assert [bar[EIMS], bar[TXDCTL[0]] >> 25 & 1, bar[RXCTRL], bar[DMATXCTL] & 1] == [0, 0, 0, 0]


def test_a_client_killed_at_full_speed(nic: Served) -> None:
    """The generator runs in the process that is killed; what it sends arrives, and what its successor sends does, too."""
    with probe(nic.port("pf1")) as port:
        port.rx(0)
        port.promiscuous = True
        port.start()
        before = 0
        for _ in range(2):
            with program("pktgen", nic.port("pf0"), "--size", "64") as generator:
                deadline = time.monotonic() + TIMEOUT
                while port.xstats()["rx_good_packets"] < before + 20_000 and time.monotonic() < deadline:
                    Pipeline(port.rx(0) >> Sink()).run(seconds=0.1)
                generator.send_signal(signal.SIGKILL)
                generator.wait(timeout=TIMEOUT)
                now = port.xstats()["rx_good_packets"]
                assert now >= before + 20_000
                before = now


def test_the_server_killed_under_two_clients(nic: Served) -> None:
    """Both say so within a second, the one that moves packets and the one that does nothing."""
    with (
        program("l2fwd", nic.port("pf1"), "--seconds", "60") as forwarder,
        probe(nic.port("pf0")) as port,
    ):
        port.rx(0), port.tx(0)
        port.start()
        assert echoed(port)
        pipeline = Pipeline(PktGen(frame_text(port)) >> port.tx(0))
        killed: list[Stopwatch] = []

        def kill() -> None:
            killed.append(Stopwatch())
            nic.process.send_signal(signal.SIGKILL)

        timer = threading.Timer(0.5, kill)
        timer.start()
        with pytest.raises(DeviceGone, match="its server has ended"):
            pipeline.run(seconds=TIMEOUT)
        assert killed[0].own < 1
        timer.join()
        _, errors = forwarder.communicate(timeout=TIMEOUT)
        assert forwarder.returncode == 1
        assert "its server has ended" in errors
    nic.process.communicate(timeout=TIMEOUT)


def frame_text(port: Port) -> str:
    return f'Ether(src="{port.mac}", dst="ff:ff:ff:ff:ff:ff")/IP()/UDP()'


def test_a_function_that_is_in_use_is_refused_and_then_free(nic: Served) -> None:
    with probe(nic.port("pf1")), program("macswap", nic.port("pf1")) as other:
        _, errors = other.communicate(timeout=TIMEOUT)
        assert other.returncode == 1
        assert "another client has this function" in errors
    with program("macswap", nic.port("pf1"), "--seconds", "0.1") as other:
        _, errors = other.communicate(timeout=TIMEOUT)
        assert other.returncode == 0, errors
