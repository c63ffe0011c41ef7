# SPDX-License-Identifier: BSD-3-Clause
"""A wire between two served NICs, our driver at both ends: either server is killed, and its successor takes its place."""

from __future__ import annotations

import signal
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from served import TIMEOUT, Served
from stopwatch import Stopwatch

from dataplane import Pipeline
from dataplane.apps import Counter, PktGen, Sink
from dataplane.byhand import receive, send
from dataplane.pmd import probe
from dataplane.port import Port

FRAMES = 20_000


@pytest.fixture
def path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="dp-wire-") as folder:
        yield Path(folder) / "wire"


def served(end: str, path: Path, index: int) -> Served:
    # Drop its messages about the other end: this test does not read a pipe.
    return Served("--ports", "1", "--index", str(index), "--wire", f"pf0={end}:{path},elastic=on", quiet=True)


def opened(nic: Served) -> Port:
    port = probe(nic.port("pf0"))
    port.rx(0), port.tx(0)
    port.promiscuous = True
    port.start()
    return port


def wait_link(port: Port, up: bool) -> float:
    """Seconds of ours until the link is as wanted."""
    watch = Stopwatch()
    while port.link.up is not up:
        assert watch.wall < TIMEOUT, f"the link is not {'up' if up else 'down'}"
        time.sleep(0.01)
    return watch.own


def talk(a: Port, b: Port) -> None:
    """Frames both ways, each with a length and a content of its own, and none lost."""
    wait_link(a, True), wait_link(b, True)
    for near, far in ((a, b), (b, a)):
        sent = [b"\xff" * 6 + bytes(6) + b"\x88\xb5" + bytes([n]) * (46 + 9 * n) for n in range(150)]
        send(near.tx(0), sent)
        assert receive(far.rx(0), len(sent), timeout=TIMEOUT) == sent


@pytest.mark.parametrize("victim", ["listen", "connect"])
def test_a_server_is_killed_and_another_takes_its_place(path: Path, victim: str) -> None:
    survivor = "connect" if victim == "listen" else "listen"
    with served(survivor, path, 1) as stays, opened(stays) as a:
        for life in range(2):
            with served(victim, path, 2) as goes:
                assert stat.S_IMODE(path.stat().st_mode) == 0o600
                b = opened(goes)
                talk(a, b)
                b.close()
                if life:
                    continue
                goes.process.send_signal(signal.SIGKILL)
                goes.process.communicate(timeout=TIMEOUT)
                assert wait_link(a, False) < 2
                send(a.tx(0), [bytes(64)])  # no other end: the port takes it or not, and does not hang
        wait_link(a, False)


def test_a_client_is_killed_and_nothing_else(path: Path) -> None:
    with served("listen", path, 1) as near, served("connect", path, 2) as far, opened(near) as a:
        for _ in range(2):
            with opened(far) as b:
                talk(a, b)


def test_a_stopped_server_holds_nobody_up(path: Path) -> None:
    """It takes nothing, as a port without buffers: after a second frames get lost, and when it goes on they arrive."""
    generator = PktGen("Ether()/IP()/UDP()", size=1000, rate="10 kpps")
    with (
        served("listen", path, 1) as near,
        served("connect", path, 2) as far,
        opened(near) as a,
        opened(far) as b,
    ):
        talk(a, b)
        before = a.xstats()["tx_good_packets"]
        far.process.send_signal(signal.SIGSTOP)
        try:
            Pipeline(generator >> a.tx(0)).run(seconds=2.5)
            assert a.xstats()["tx_good_packets"] > before + 5_000  # of 2,000 there is room under way
        finally:
            far.process.send_signal(signal.SIGCONT)
        Pipeline(b.rx(0) >> Sink()).run(seconds=0.5)
        talk(a, b)


def test_what_is_sent_at_full_speed_arrives(path: Path) -> None:
    generator, counter = PktGen("Ether()/IP()/UDP()", size=64, count=FRAMES), Counter()
    with (
        served("listen", path, 1) as near,
        served("connect", path, 2) as far,
        opened(near) as a,
        opened(far) as b,
    ):
        wait_link(a, True), wait_link(b, True)
        forwarding = Pipeline(b.rx(0) >> counter >> Sink())
        forwarding.start()
        Pipeline(generator >> a.tx(0)).run(seconds=TIMEOUT)
        sent = a.xstats()["tx_good_packets"]  # the others the pipeline dropped: there was no room
        began = time.monotonic()
        while counter.packets < sent and time.monotonic() < began + TIMEOUT:
            time.sleep(0.05)
        forwarding.stop()
        assert counter.packets == sent > 100
