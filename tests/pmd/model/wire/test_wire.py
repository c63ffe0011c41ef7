# SPDX-License-Identifier: BSD-3-Clause
"""Wires between ports: perfect ones, bad ones, slow ones, pulled ones."""

import pytest

from dataplane.errors import ConfigError
from dataplane.pmd.datasheet import CRCERRS, GPRC, GPTC, RXMPC
from dataplane.pmd.model.netem.conditions import Netem
from dataplane.pmd.model.shared import Clock
from dataplane.pmd.model.wire.port import LoopPlug, PortWire
from tests.pmd.model.rig import Port, carry, frame, pair


def flow(a, b, count, size=60):
    """Send `count` frames with as many steps as it takes; returns how many arrive."""
    tx, rx, arrived = a.tx[0], b.rx[0], 0
    for n in range(0, count, 32):
        for _ in range(min(32, count - n)):
            tx.send(frame(size), ring_bell=False)
        tx.bell()
        for _ in range(4):
            a.step()
            b.step()
        arrived += len(rx.take())
    return arrived


def ready(**options):
    a, b = pair(**options)
    a.tx_queue(n=64), b.rx_queue(n=64)
    return a, b


@pytest.mark.parametrize("elastic", [True, False])
def test_a_perfect_wire_loses_nothing(elastic):
    a, b = ready(elastic=elastic)
    assert flow(a, b, 5000) == 5000


def test_both_ways():
    a, b = ready()
    b.tx_queue(n=16), a.rx_queue(n=16)
    assert [got.data for got in carry(b, a, [frame(99)])] == [frame(99)]
    assert len(carry(a, b, [frame(64)])) == 1


def test_loss_is_as_probable_as_said_and_repeats():
    counts = []
    for seed in (1, 1, 2):
        a, b = ready(loss=0.2, seed=seed)
        arrived = flow(a, b, 3000)
        assert [way.lost for way in a.engine.wire.flights] == [3000 - arrived, 0]
        assert 0.17 < 1 - arrived / 3000 < 0.23
        assert a.clear(GPTC) == 3000 and b.clear(GPRC) == arrived
        counts.append(arrived)
    assert counts[0] == counts[1] != counts[2]


def test_corruption():
    a, b = ready(corrupt=0.1)
    arrived = flow(a, b, 2000)
    assert b.clear(CRCERRS) == 2000 - arrived == a.engine.wire.outward.corrupted
    assert 120 < 2000 - arrived < 280


def test_delay():
    a, b = ready(delay_ns=5000)
    a.tx[0].send(frame(64))
    a.step()
    b.step()
    a.clock.advance_ns(4999)
    b.step()
    assert b.rx[0].take() == []
    a.clock.advance_ns(1)
    b.step()
    assert [got.data for got in b.rx[0].take()] == [frame(64)]
    assert a.tx[0].done(0), "DD says that the chip has it, not that it arrived"


def test_rate_in_order_and_on_time():
    a, b = ready(rate=1e9)  # 84 bytes with overhead: 672 ns
    for _ in range(10):
        a.tx[0].send(frame(60), ring_bell=False)
    a.tx[0].bell()
    a.step()
    for n in range(1, 11):
        a.clock.advance_ns(671)
        b.step()
        assert len(b.rx[0].take()) == 0
        a.clock.advance_ns(1)
        b.step()
        assert len(b.rx[0].take()) == 1, n


def test_a_slow_wire_holds_the_sender_back():
    a, b = pair(2 << 20, rate=1e6)
    a.tx_queue(n=512), b.rx_queue()
    for _ in range(500):
        a.tx[0].send(frame(1500), ring_bell=False)
    a.tx[0].bell()
    a.step(20)
    assert 90 < a.tx[0].head < 120, "the chip's 160 KiB, and not one frame more"


def test_plugs():
    a, b = pair()
    third = Port("c")
    assert a.engine.is_wire_up and b.engine.is_wire_up and not third.engine.is_wire_up
    with pytest.raises(ConfigError, match="a has a wire already"):
        PortWire(third.engine, a.engine)
    assert not third.engine.is_wire_up
    with pytest.raises(ConfigError, match="use a LoopPlug"):
        PortWire(third.engine, third.engine)
    b.engine.unplug()
    assert not a.engine.is_wire_up and not b.engine.is_wire_up and a.engine.wire is None
    b.engine.unplug()
    PortWire(third.engine, a.engine)
    assert third.engine.is_wire_up


def test_the_peer_sees_a_dark_end():
    a, b = pair()
    a.engine.set_lit(False)
    assert not b.engine.is_wire_up and a.engine.is_wire_up
    a.engine.set_lit(True)
    assert b.engine.is_wire_up


def test_loop_plug():
    port = Port("a")
    LoopPlug(port.engine)
    assert port.engine.is_wire_up
    port.tx_queue(), port.rx_queue()
    port.tx[0].send(frame(77))
    port.step()
    assert [got.data for got in port.rx[0].take()] == [frame(77)]


def test_a_wire_that_does_nothing_to_frames_has_none_in_flight():
    a, _ = pair(seed=7)
    assert a.engine.wire.flights == ()
    with pytest.raises(ConfigError, match="expected a Netem"):
        PortWire(Port("c").engine, Port("d").engine, "loss=1%")


@pytest.mark.parametrize("netem", [None, Netem(delay_ns=10)], ids=["perfect", "delay"])
@pytest.mark.parametrize("loop", [False, True], ids=["two ports", "loop"])
def test_two_senders_and_nobody_who_reads(loop, netem):
    """A wire that does not wait stalls no sender, and every frame is with the receiver or counted as missed."""
    clock = Clock(virtual=True)
    ports = [Port("a", clock), Port("b", clock)]
    if loop:
        for port in ports:
            LoopPlug(port.engine, netem, elastic=False)
    else:
        PortWire(ports[0].engine, ports[1].engine, netem, elastic=False)
    for port in ports:
        port.tx_queue(n=512), port.rx_queue(n=64)
    for _ in range(40):
        for port in ports:
            for _ in range(500):
                port.tx[0].send(frame(60), ring_bell=False)
            port.tx[0].bell()
        for _ in range(20):
            clock.advance_ns(100)
            for port in ports:
                port.step()
    for port in ports:
        assert port.tx[0].head == port.tx[0].tail
        assert port.clear(GPTC) == 20_000
        kept = 0
        while taken := len(port.rx[0].take()):
            kept += taken
            port.step()
        assert 6000 < kept == 20_000 - port.clear(RXMPC[0]), "a packet buffer of 512 KiB, and descriptors"


def test_an_elastic_wire_makes_both_wait():
    a, b = ready()
    for _ in range(200):
        for _ in range(40):
            if (a.tx[0].tail - a.tx[0].head) % 64 < 60:
                a.tx[0].send(frame(60))
        a.step(), b.step()
    assert a.tx[0].head != a.tx[0].tail and b.clear(RXMPC[0]) == 0


def test_certain_loss():
    a, b = ready(loss=1.0)
    assert flow(a, b, 100) == 0 and a.engine.wire.outward.lost == 100


def test_a_vanished_port_does_not_hurt():
    a, b = ready()
    del b
    a.tx[0].send(frame(64))
    a.step(2)
    assert a.clear(GPTC) == 1, "the wire keeps the other port alive"
