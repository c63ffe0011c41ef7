# SPDX-License-Identifier: BSD-3-Clause
"""A wire to another process: frames over a socket, the light both ways, peers that go, stall or talk nonsense."""

import socket
import time

import pytest

from dataplane.errors import ConfigError
from dataplane.pmd.model.shared import Clock
from dataplane.pmd.model.wire_peer import PeerWire
from tests.pmd.model.rig import Port, frame

ON, OFF = b"\0\1\1\0", b"\0\0\1\0"
GOOD, BAD = b"\1\0\1\0", b"\1\1\1\0"
TIMEOUT = 5.0


@pytest.fixture
def port():
    port = Port("a", Clock(virtual=False), size=1 << 20)
    port.tx_queue(n=64), port.rx_queue(n=64)
    port.write(0x05080, 0x700)
    return port


@pytest.fixture
def wire(port):
    return PeerWire(port.engine)


@pytest.fixture
def peer(wire):
    """The other end, its light on; what we said first has been read."""
    peer = join(wire)
    assert peer.recv(100) == ON
    peer.send(ON)
    step_until(wire.port, lambda: wire.port.is_wire_up)
    yield peer
    peer.close()
    wire.close()


def join(wire):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.settimeout(TIMEOUT)
    wire.connect(ours.detach())
    return theirs


def step_until(engine, condition):
    deadline = time.monotonic() + TIMEOUT
    while not (result := condition()):
        assert time.monotonic() < deadline, "it never happened"
        engine.run(64)
    return result


def test_both_ways(port, wire, peer):
    for n in range(50):
        port.tx[0].send(frame(60 + 300 * (n % 5)))
        port.step(2)
        assert peer.recv(20000) == GOOD + frame(60 + 300 * (n % 5))
    got = []
    for n in range(500):
        peer.send(GOOD + frame(60 + n))
        port.step()
        got += [each.data for each in port.rx[0].take()]
    while len(got) < 500:
        got += [each.data for each in step_until(port.engine, port.rx[0].take)]
    assert got == [frame(60 + n) for n in range(500)]
    assert (wire.sent, wire.received, wire.lost) == (50, 500, 0)


def test_a_frame_with_a_wrong_fcs_arrives_as_one(port, peer):
    errors = 0x04000  # CRCERRS
    peer.send(BAD + frame(100))
    step_until(port.engine, lambda: port.registers.peek(errors))
    assert port.rx[0].take() == []


def test_the_light_of_either_end(port, wire, peer):
    peer.send(OFF)
    step_until(port.engine, lambda: not port.engine.is_wire_up)
    peer.send(ON)
    step_until(port.engine, lambda: port.engine.is_wire_up)
    port.engine.set_lit(False)
    port.step()
    assert peer.recv(100) == OFF
    port.engine.set_lit(True)
    assert wire.tend()  # without a step, too
    assert peer.recv(100) == ON


def test_until_the_peer_says_that_its_light_is_on_there_is_no_link(port, wire):
    with join(wire) as peer:
        port.step(10)
        assert wire.connected and not port.engine.is_wire_up
        peer.send(OFF)
        port.step(10)
        assert not port.engine.is_wire_up


def test_a_peer_goes_and_another_comes(port, wire, peer):
    for _ in range(3):
        peer.send(GOOD + frame(80))
        peer.close()
        step_until(port.engine, lambda: not port.engine.is_wire_up)
        assert [each.data for each in port.rx[0].take()] == [frame(80)], "what it sent before it went"
        assert not wire.tend() and wire.why is None
        port.tx[0].send(frame(64))  # into a cable that is not there
        port.step(3)
        peer = join(wire)
        assert peer.recv(100) == ON
        peer.send(ON)
        step_until(port.engine, lambda: port.engine.is_wire_up)
        port.tx[0].send(frame(90))
        port.step(2)
        assert peer.recv(2000) == GOOD + frame(90)


def test_a_peer_that_takes_nothing_is_waited_for_and_not_for_ever(port, wire, peer):
    """Its socket is full: frames stay in order and the port waits, and after a while they are lost."""
    peer_took, sent = [], 0
    deadline = time.monotonic() + TIMEOUT
    while not wire.lost:
        assert time.monotonic() < deadline, "the port waits for ever"
        if (port.tx[0].tail - port.tx[0].head) % 64 < 32:
            port.tx[0].send(frame(60 + sent % 1000))
            sent += 1
        port.step()
    while port.tx[0].head != port.tx[0].tail:
        port.step()
    peer.setblocking(False)
    while True:
        try:
            peer_took.append(peer.recv(20000))
        except BlockingIOError:
            break
    assert len(peer_took) == wire.sent > 100
    assert peer_took == [GOOD + frame(60 + n % 1000) for n in range(wire.sent)]
    port.tx[0].send(frame(61))
    step_until(port.engine, lambda: port.tx[0].head == port.tx[0].tail)


def test_what_comes_while_the_packet_buffer_is_full_waits_at_the_peer(port, wire, peer):
    """No descriptors: the packet buffer fills, then the sender's socket; nothing is lost."""
    peer.setblocking(False)
    sent = 0
    try:
        while True:
            peer.send(GOOD + frame(1000 + sent % 300))
            sent += 1
            if sent % 20 == 0:
                port.step(2)
    except BlockingIOError:
        pass
    got = []
    deadline = time.monotonic() + TIMEOUT
    while len(got) < sent and time.monotonic() < deadline:
        port.step()
        got += [each.data for each in port.rx[0].take()]
    assert got == [frame(1000 + n % 300) for n in range(sent)]
    assert sent > 64


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (b"\1", "no wire of this version"),
        (b"\1\0\2\0" + frame(60), "no wire of this version"),
        (b"\7\0\1\0", "no frame"),
        (ON + b"more", "no frame"),
        (GOOD + frame(13), "no frame"),
        (GOOD + bytes(15869), "no frame"),
        (GOOD + bytes(40000), "no frame"),
    ],
)
def test_who_talks_nonsense_is_cut_off(port, wire, peer, message, why):
    peer.send(message)
    step_until(port.engine, lambda: not wire.connected)
    assert not wire.tend() and why in wire.why and not port.engine.is_wire_up
    assert port.rx[0].take() == []
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        peer.send(ON)


def test_a_frame_before_the_first_state(port, wire):
    with join(wire) as peer:
        peer.send(GOOD + frame(60))
        step_until(port.engine, lambda: not wire.connected)
    assert not wire.tend() and "no wire of this version" in wire.why


def test_a_port_has_one_wire(port, wire):
    with pytest.raises(ConfigError, match="has a wire already"):
        PeerWire(port.engine)
    wire.close()
    PeerWire(port.engine).close()
    assert not port.engine.is_wire_up
