# SPDX-License-Identifier: BSD-3-Clause
"""af_packet on an interface that goes down and comes back, or that is removed, while a run polls it."""

import time

import pytest

from dataplane import Frames, Pipeline, start
from dataplane.apps import Counter, PktGen, Sink
from dataplane.byhand import receive, send
from dataplane.errors import PortGone
from dataplane.pmd import probe
from tests.pmd.port_contract import frames, opened
from tests.pmd.virtual.conftest import Tapped, ip

pytestmark = pytest.mark.root


@pytest.fixture
def far(network):
    """The other end of v0, in a network of their own."""
    ip("link add v0 type veth peer name v1")
    ip("link set v0 up")
    ip("link set v1 up")
    end = Tapped("v1")
    yield end
    end.close()


@pytest.fixture
def port(far):
    yield from opened(probe("af_packet:v0"))


def until(holds, seconds=10.0):
    """Wait until `holds`; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def hears(port, far):
    """Wait until frames from the other end arrive: the kernel lets them pass up to a second after the link is up."""
    until(lambda: far.send(frames(1)) or receive(port.rx(), 1, timeout=0.02))
    while receive(port.rx(), 32, timeout=0.05):
        pass


def test_by_hand(port, far):
    port.rx(), port.tx()
    port.start()
    for flap in range(3):
        ip("link set v0 down")
        assert not port.link.up
        assert send(port.tx(), frames(4)) == 4
        until(lambda flap=flap: receive(port.rx(), 1) == [] and port.xstats()["link_outages"] == flap + 1)
        ip("link set v0 up")
        port.wait_link(5)
        hears(port, far)
        far.send(frames(3))
        assert receive(port.rx(), 3, timeout=5) == frames(3)
        assert send(port.tx(), frames(2)) == 2
        assert far.collect(2, 5) == frames(2)
    stats = port.xstats()
    assert (stats["tx_good_packets"], stats["tx_link_down_packets"], stats["tx_errors"]) == (6, 12, 0)


def test_a_run_goes_on_and_its_report_balances(port, far):
    counter = Counter()
    made = PktGen('Ether(dst="02:00:00:00:00:09")/IP()/UDP()', rate="2 kpps")
    with Pipeline(made >> port.tx(0), port.rx(0) >> counter >> Sink()).start() as run:
        for _ in range(3):
            before = port.xstats()["tx_link_down_packets"]
            ip("link set v0 down")
            until(lambda before=before: port.xstats()["tx_link_down_packets"] > before)
            ip("link set v0 up")
            port.wait_link(5)
            seen, sent = counter.packets, port.xstats()["tx_good_packets"]
            until(lambda seen=seen: far.send(frames(1)) or counter.packets > seen)
            until(lambda sent=sent: port.xstats()["tx_good_packets"] > sent)
        report = run.stop()
    row = report.port_balances["af_packet:v0"]
    assert row.exact and (row.rx_missing, row.tx_missing) == (0, 0) and row.link_down > 0
    assert report.drops["af_packet:v0.link_down"] == row.link_down
    assert report.balance.missing == 0


def test_a_lossless_run_is_not_held_up(port, far):
    """Frames for an interface that is down are lost: there is no room to wait for."""
    source = Frames(frames(1), repeat=None)
    with Pipeline(source >> port.tx(0), lossless=True).start() as run:
        until(lambda: port.xstats()["tx_good_packets"] > 100)
        ip("link set v0 down")
        until(lambda: port.xstats()["tx_link_down_packets"] > 1000)
        run.stop()


@pytest.mark.parametrize("anew", [False, True], ids=["removed", "made anew"])
def test_an_interface_that_is_removed_ends_its_run_alone(port, far, anew):
    """The error names it, also if another interface takes its name; a run beside it goes on."""
    neighbour, beside = probe("null:"), probe("null:")
    lone = Pipeline(neighbour.rx(0) >> Counter() >> beside.tx(0))
    with lone.start() as other:
        run = start(Pipeline(port.rx(0) >> Sink(), Frames(frames(1)) >> port.tx(0)))
        run.wait(0.05)
        ip("link del v0")
        if anew:
            ip("link add v0 type veth peer name v1")
            ip("link set v0 up")
        assert run.wait(10)
        with pytest.raises(PortGone, match="af_packet:v0: interface v0 is no longer there: probe it again"):
            run.stop()
        before = other.packets
        until(lambda: other.packets > before)
        assert other.stop().ok
