# SPDX-License-Identifier: BSD-3-Clause
"""The driver's life on a strict model: bring-up, restarts, faults, removal, and the contract of every port."""

import gc
import time

import pytest
from modelrig import frame, pair

from dataplane import pmd
from dataplane.byhand import receive, send
from dataplane.errors import ConfigError, DeviceError, DeviceGone
from dataplane.mempool import Mempool
from dataplane.pmd.datasheet import CTRL_EXT
from dataplane.pmd.model.fault import FAULTS_AT_BRINGUP, unplug
from dataplane.pmd.model.wire.port import PortWire
from tests.pmd.port_contract import PortLife, PortReceives, PortSends, Rig


@pytest.fixture(params=[False, True], ids=["stepped", "threaded"])
def both(request):
    with pair(threaded=request.param) as p:
        yield p


class TestContract(PortLife, PortReceives, PortSends):
    """The contract of every port, for this one. Its wire's other end is a second port with our driver."""

    @pytest.fixture
    def rig(self, both):
        right, waiting = both.right, []
        right.configure(mempool=Mempool(2048, hugepages="no"))
        right.rx(0), right.tx(0)
        right.start()

        def step():
            both.step(8)
            while waiting and send(right.tx(0), waiting[:1]):
                waiting.pop(0)
            both.step(8)

        def inject(frames):
            waiting.extend(frames)
            step()

        def collect(n, timeout):
            got, deadline = [], time.monotonic() + timeout
            while len(got) < n and time.monotonic() < deadline:
                step()
                got += receive(right.rx(0), 32)
            return got

        yield Rig(both.left, inject, collect, step)


@pytest.mark.parametrize("restarts", [50, pytest.param(200, marks=pytest.mark.slow)])
def test_restarts_with_traffic_between(restarts):
    with pair() as p:
        p.start()
        total = 0
        for n in range(restarts):
            p.left.stop()
            assert p.left.rx(0).armed == p.left.tx(0).held == 0
            p.left.start()
            p.left.wait_link(1)
            if n % 10 == 0:
                sent = [frame(total + k) for k in range(20)]
                assert p.cross(sent) == sent
                total += 20
        assert p.left.xstats()["tx_good_packets"] == p.right.xstats()["rx_good_packets"] == total


def test_stop_in_the_middle_of_traffic():
    with pair() as p:
        p.start()
        for n in range(20):
            send(p.left.tx(0), [frame(k) for k in range(60)])
            p.step(n % 4)
            (p.left if n % 2 else p.right).stop()
            p.left.start(), p.right.start()
            p.left.wait_link(1), p.right.wait_link(1)


def test_packets_handed_over_are_sent_before_a_stop():
    with pair() as p:
        p.start()
        assert send(p.left.tx(0), [frame(k) for k in range(500)]) > 100
        sent = p.left.tx(0).held
        p.left.stop()
        assert p.left.xstats()["tx_good_packets"] == sent


def test_a_stop_with_the_link_down_does_not_hang():
    with pair() as p:
        p.start()
        p.card.ports[1].engine.unplug()
        p.step(4)
        p.card.sleep(1.0)
        assert not p.left.link.up
        send(p.left.tx(0), [frame(k) for k in range(100)])
        p.left.stop()
        assert p.left.xstats()["tx_good_packets"] == 0


@pytest.mark.parametrize("fault", FAULTS_AT_BRINGUP, ids=str)
def test_every_fault_at_bring_up_is_named(fault):
    """By register, time or value, and section; and nothing is left behind."""
    with pair() as p:
        if fault.stage != "link":
            unplug(p.card, 0)  # a bring-up sets up the link only if the port has none
            p.card.sleep(0.1)
        fault.inject(p.card, 0)
        try:
            with pytest.raises(DeviceError) as error:
                bring_up(p)
        finally:
            fault.heal(p.card, 0)
        text = str(error.value)
        if fault.name == "pulled-out":
            assert isinstance(error.value, DeviceGone) and "all ones" in text
            return
        assert fault.register in text, text
        assert fault.section in text or "8.2.3" in text, text
        assert "model0" in text
        assert p.pool.in_use == 0
        p.left.rx(0)
        p.left.start()  # what has healed comes up again
        p.left.wait_link(5)


def bring_up(p):
    """Everything from probe to a link."""
    other = type(p.left)(p.left.function, pmd.PortString.split_options("model0", "", "model0", ""))
    other.configure(mempool=p.pool, rx_desc=64, tx_desc=64)
    other.rx(0), other.tx(0)
    try:
        other.start()
        other.wait_link(1.0)
    finally:
        other.stop()


@pytest.mark.parametrize("threaded", [False, True], ids=["stepped", "threaded"])
def test_a_port_pulled_out_under_traffic(threaded):
    with pair(threaded=threaded) as p:
        p.start()
        sent = [frame(k) for k in range(100)]
        assert p.cross(sent) == sent
        before = p.left.xstats()["tx_good_packets"]
        p.card.remove(0)
        with pytest.raises(DeviceGone, match=r"model0.*gone.*open it again"):
            for _ in range(200_000):
                receive(p.left.rx(0))
        assert p.left.xstats()["tx_good_packets"] == before
        with pytest.raises(DeviceGone):
            _ = p.left.link
        p.left.stop()
        assert p.pool.in_use == p.right.rx(0).armed
        with pytest.raises(DeviceGone):
            p.left.start()
        assert p.right.xstats()["rx_good_packets"] == 100


def test_ownership_is_withdrawn_when_it_closes():
    with pair() as p:
        bar = p.left.bar
        assert bar.get(CTRL_EXT.DRV_LOAD)
        p.start()
        assert bar.get(CTRL_EXT.DRV_LOAD)
        chip = p.card.ports[0]
        p.left.close()
        assert not CTRL_EXT.DRV_LOAD.extract(chip.peek(CTRL_EXT.offset))


def test_a_second_probe_of_an_open_port_and_bad_options():
    with pytest.raises(ConfigError, match="manner"):
        pmd.probe("model0,manner=sloppy")
    with pytest.raises(ConfigError, match="no option 'colour'"):
        pmd.probe("model0,thread=off,colour=red")
    pmd.probe("model0,thread=off").close()  # nothing was left open


def test_packets_of_a_pool_made_while_it_runs():
    with pair() as p:
        p.start()
        late = Mempool(64, hugepages="no")
        assert send(p.left.tx(0), [frame(1)], late) == 1
        p.step()
        assert receive(p.right.rx(0)) == [frame(1)]
        p.left.stop()
        assert late.in_use == 0
        p.left.start()
        del late
        gc.collect()
        p.left.wait_link(1)
        assert p.cross([frame(2)]) == [frame(2)]


def test_the_link_flaps():
    with pair() as p:
        p.start()
        chips = p.card.ports
        for _ in range(3):
            chips[0].engine.unplug()
            p.card.sleep(0.5)
            assert not p.left.link.up and p.left.link.speed == 0
            PortWire(chips[0].engine, chips[1].engine)
            assert p.left.wait_link(5).speed == p.right.wait_link(5).speed == 10_000
            assert p.cross([frame(7)]) == [frame(7)]


def test_a_port_whose_neighbour_has_no_driver_sends_all_it_has():
    """Three packet buffers full go to a port that is not open: they are lost there, and stall no sender."""
    with pmd.probe("model0,thread=off,manner=strict") as port:
        port.configure(mempool=Mempool(2048, hugepages="no"))
        port.tx(0)
        port.start()
        port.wait_link(1)
        sent = 0
        for _ in range(1000):
            sent += send(port.tx(0), [bytes(12) + b"\x08\x00" + bytes(1486)] * 10)
            port.function.card.step(4)
            if sent >= 1100:
                break
        assert sent >= 1100
