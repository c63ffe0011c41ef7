# SPDX-License-Identifier: BSD-3-Clause
"""A wire to another process that does not wait for its port, and one that does something to frames."""

import time

import pytest

from dataplane.pmd.datasheet import CRCERRS, GPRC, RXMPC
from dataplane.pmd.model.netem.conditions import Netem
from dataplane.pmd.model.shared import Clock
from dataplane.pmd.model.wire.peer import PeerWire
from tests.pmd.model.rig import Port, frame
from tests.pmd.model.wire_raw import TIMEOUT, join, step_until


@pytest.fixture
def port():
    port = Port("a", Clock(virtual=False), size=1 << 20)
    port.tx_queue(n=64), port.rx_queue(n=64)
    port.write(0x05080, 0x700)
    return port


def test_an_end_that_does_not_wait_loses_what_its_port_has_no_room_for(port):
    """Whatever comes is taken: the peer is never held up, and what was lost is counted as on a card."""
    wire = PeerWire(port.engine, elastic=False)
    peer = join(wire)
    peer.shine()
    for n in range(10_000):
        if not peer.send(frame(200 + n % 100)):
            step_until(port.engine, lambda: peer.said_head == peer.tail)
            assert peer.send(frame(200 + n % 100))
        if n % 40 == 0:
            port.step()
    step_until(port.engine, lambda: wire.received == 10_000)
    kept = 0
    while taken := len(port.rx[0].take()):
        kept += taken
        port.step(2)
    assert 1500 < kept == 10_000 - port.clear(RXMPC[0])
    wire.close(), peer.close()
    assert wire.closer.wait(TIMEOUT)


def test_what_is_in_flight_to_and_from_another_process(port):
    """Each end says what happens on its way in and on its way out."""
    wire = PeerWire(port.engine, Netem(loss=0.2, corrupt=0.1, delay_ns=100_000, seed=3))
    peer = join(wire)
    peer.shine()
    step_until(port.engine, lambda: port.engine.is_wire_up)
    out, into = wire.outward, wire.inward
    for n in range(500):
        port.tx[0].send(frame(100))
        assert peer.send(frame(60 + n % 50))
        port.step(2)
    began = time.monotonic()
    step_until(port.engine, lambda: into.sent == out.sent == 500 and into.in_flight == out.in_flight == 0)
    assert time.monotonic() - began < TIMEOUT
    step_until(port.engine, lambda: wire.sent == out.delivered)
    got = peer.take()
    assert len(got) == out.delivered == 500 - out.lost and sum(flags for _, flags in got) == out.corrupted > 0
    port.step(2)
    received = into.delivered - into.corrupted
    assert received == port.clear(GPRC) and port.clear(CRCERRS) == into.corrupted > 0
    assert wire.leads_to(port.engine) == "another process" and 50 < into.lost != out.lost > 50
    wire.close(), peer.close()
    assert wire.closer.wait(TIMEOUT)
