# SPDX-License-Identifier: BSD-3-Clause
"""A wire to another process: frames in shared memory, the light both ways, peers that go, stall or put nonsense there."""

import os
import socket
import threading
import time

import pytest

from dataplane.errors import ConfigError
from dataplane.pmd.datasheet.registers.link import HLREG0, MAXFRS
from dataplane.pmd.model.shared import Clock
from dataplane.pmd.model.wire.peer import RING_MEMORY, PeerWire
from tests.pmd.model.rig import Port, frame
from tests.pmd.model.wire_raw import (
    BAD_CRC,
    FRAME_MAX,
    FRAME_MIN,
    HEAD,
    HELLO,
    LIT,
    MEMORY,
    RING,
    SKIP,
    TAIL,
    TIMEOUT,
    join,
    memory,
    step_until,
)


@pytest.fixture
def port():
    port = Port("a", Clock(virtual=False), size=1 << 20)
    port.tx_queue(n=64), port.rx_queue(n=64)
    port.write(0x05080, 0x700)
    return port


@pytest.fixture
def wire(port):
    wire = PeerWire(port.engine)
    yield wire
    wire.close()
    assert wire.closer.wait(TIMEOUT)


@pytest.fixture(params=[True, False], ids=["listens", "connects"])
def peer(wire, request):
    """The other end, its light on."""
    peer = join(wire, first=request.param)
    assert peer.sees_light
    peer.shine()
    step_until(wire.port, lambda: wire.port.is_wire_up)
    yield peer
    peer.close()


def test_the_memory_is_as_large_as_both_say():
    assert RING_MEMORY == MEMORY


def test_both_ways(port, wire, peer):
    for n in range(50):
        port.tx[0].send(frame(60 + 300 * (n % 5)))
        port.step(2)
        assert peer.take() == [(frame(60 + 300 * (n % 5)), 0)]
    got = []
    for n in range(500):
        assert peer.send(frame(60 + n))
        port.step()
        got += [each.data for each in port.rx[0].take()]
    while len(got) < 500:
        got += [each.data for each in step_until(port.engine, port.rx[0].take)]
    assert got == [frame(60 + n) for n in range(500)]
    assert (wire.sent, wire.received, wire.lost) == (50, 500, 0)


def test_round_and_round(port, wire, peer):
    """Frames of all sizes over the ends of both rings, several times."""
    port.write(MAXFRS, 9728 << 16), port.write(HLREG0, HLREG0.resets | HLREG0.JUMBOEN.mask)
    sizes = [60, 61, 67, 68, 1514, 9000, 64, 1000]
    sent, got, taken = 0, [], []
    while peer.said_tail < 3 * RING:
        size = sizes[sent % len(sizes)]
        port.tx[0].send(frame(size))
        step_until(port.engine, lambda: port.tx[0].head == port.tx[0].tail)
        port.step(2)
        taken += [len(data) for data, _ in peer.take()]
        sent += 1
    assert taken == [sizes[n % len(sizes)] for n in range(sent)]
    count = 0
    while peer.tail < 3 * RING:
        count += 1
        assert peer.send(frame(60 + count * 37 % 1400))
        step_until(port.engine, lambda: peer.said_head == peer.tail)
        port.step()
        got += [each.data for each in port.rx[0].take()]
    assert got == [frame(60 + n * 37 % 1400) for n in range(1, count + 1)]


def test_the_longest_and_the_shortest_frame(port, wire, peer):
    for size in (FRAME_MIN, FRAME_MAX):
        assert peer.send(frame(size))
    step_until(port.engine, lambda: wire.received == 2)
    assert wire.connected


def test_a_frame_with_a_wrong_fcs_arrives_as_one(port, peer):
    errors = 0x04000  # CRCERRS
    peer.send(frame(100), BAD_CRC)
    step_until(port.engine, lambda: port.registers.peek(errors))
    assert port.rx[0].take() == []


def test_the_light_of_either_end(port, wire, peer):
    peer.shine(0)
    step_until(port.engine, lambda: not port.engine.is_wire_up)
    peer.shine()
    step_until(port.engine, lambda: port.engine.is_wire_up)
    port.engine.set_lit(False)
    port.step()
    assert not peer.sees_light
    port.engine.set_lit(True)
    assert wire.tend()  # without a step, too
    assert peer.sees_light


def test_until_the_peer_says_that_its_light_is_on_there_is_no_link(port, wire):
    peer = join(wire)
    port.step(10)
    assert wire.connected and not port.engine.is_wire_up
    peer.shine(0)
    port.step(10)
    assert not port.engine.is_wire_up
    peer.close()


def test_a_peer_goes_and_another_comes(port, wire, peer):
    for _ in range(3):
        peer.send(frame(80))
        peer.close()
        step_until(port.engine, lambda: not port.engine.is_wire_up)
        step_until(port.engine, lambda: not wire.connected)
        assert [each.data for each in port.rx[0].take()] == [frame(80)], "what it sent before it went"
        assert not wire.tend() and wire.why is None
        port.tx[0].send(frame(64))  # into a cable that is not there
        port.step(3)
        peer = join(wire)
        assert peer.sees_light
        peer.shine()
        step_until(port.engine, lambda: port.engine.is_wire_up)
        port.tx[0].send(frame(90))
        port.step(2)
        assert peer.take() == [(frame(90), 0)]
    peer.close()


def test_a_peer_that_goes_is_noticed_on_a_port_that_nobody_steps(port, wire, peer):
    peer.send(frame(80))
    peer.close()
    deadline = time.monotonic() + TIMEOUT
    while wire.tend():
        assert time.monotonic() < deadline, "a port that is not stepped keeps its dead peer"
        assert not port.engine.is_wire_up
        time.sleep(0.01)
    assert wire.received == 0


def test_a_peer_that_takes_nothing_is_waited_for_and_not_for_ever(port, wire, peer):
    """Its ring is full: frames stay in order and the port waits, and after a while they are lost."""
    sent = 0

    def numbered(n):  # of one length: a shorter one might find room where others were lost
        return frame(1000)[:-4] + n.to_bytes(4, "big")

    deadline = time.monotonic() + 6 * TIMEOUT
    while not wire.lost:
        assert time.monotonic() < deadline, "the port waits for ever"
        if (port.tx[0].tail - port.tx[0].head) % 64 < 32:
            port.tx[0].send(numbered(sent))
            sent += 1
        port.step()
    while port.tx[0].head != port.tx[0].tail:
        port.step()
    step_until(port.engine, lambda: wire.lost + wire.sent == sent)
    assert wire.sent > RING // 1008 - 2
    assert peer.take() == [(numbered(n), 0) for n in range(wire.sent)]
    before = wire.sent
    port.tx[0].send(frame(61))
    step_until(port.engine, lambda: wire.sent == before + 1)
    assert peer.take() == [(frame(61), 0)]


def test_what_comes_while_the_packet_buffer_is_full_waits_in_the_ring(port, wire, peer):
    """No descriptors: the packet buffer fills, then the ring; nothing is lost."""
    sent = 0
    while peer.send(frame(1000 + sent % 300)) or wire.received < 100:
        sent += 1
        if sent % 20 == 0:
            port.step(2)
    got = []
    deadline = time.monotonic() + TIMEOUT
    while len(got) < sent and time.monotonic() < deadline:
        port.step()
        got += [each.data for each in port.rx[0].take()]
    assert got == [frame(1000 + n % 300) for n in range(sent)]
    assert sent > 500


def lie(peer, what):
    """One of the ways to lie, each by the words that it takes. Returns the rest of it, for when what is there is taken."""
    if what == "short frame":
        peer.record(FRAME_MIN - 1, 0), peer.publish()
    elif what == "long frame":
        peer.record(FRAME_MAX + 1, 0), peer.publish()
    elif what == "endless frame":
        peer.record(0xFFFF_FFFF, 0, move=16), peer.publish()
    elif what == "no length":
        peer.record(0, 0), peer.publish()
    elif what == "unknown flag":
        peer.record(60, 4), peer.publish()
    elif what == "beyond what is published":
        peer.record(60, 0, move=32), peer.publish()
    elif what == "beyond the end":
        for size in (*[8192] * (RING // 8192 - 1), 8192 - 32):  # oversize: they need no descriptors
            assert peer.send(bytes(size - 8))
        return lambda: (peer.record(60, 0), peer.publish())
    elif what == "skip of the whole ring":
        peer.record(0, SKIP, move=RING), peer.publish()
    elif what == "skip with a length":
        peer.record(8, SKIP, move=RING), peer.publish()
    elif what == "skip beyond what is published":
        assert peer.send(frame(60))
        return lambda: (peer.record(0, SKIP, move=8), peer.publish())
    elif what == "more than a ring":
        peer.publish(RING + 8)
    elif what == "an odd tail":
        peer.publish(4)
    elif what == "a tail that goes back":
        assert peer.send(frame(60))
        return lambda: peer.publish(8)
    elif what == "a tail that goes back before it is reached":
        for _ in range(200):  # more than are taken in a step
            assert peer.send(frame(60), publish=False)
        peer.publish()
        return lambda: peer.publish(peer.said_head + 72)
    elif what == "a light of 2":
        peer.poke(peer.out_lane + LIT, 2, 4)
    return None


WORDS = {
    "more than a ring": "index",
    "an odd tail": "index",
    "a tail that goes back": "index",
    "a tail that goes back before it is reached": "index",
    "a light of 2": "light",
}


@pytest.mark.parametrize(
    "what",
    [
        "short frame",
        "long frame",
        "endless frame",
        "no length",
        "unknown flag",
        "beyond what is published",
        "beyond the end",
        "skip of the whole ring",
        "skip with a length",
        "skip beyond what is published",
        *WORDS,
    ],
)
def test_who_puts_nonsense_there_is_cut_off(port, wire, peer, what):
    then = lie(peer, what)
    if then is not None:
        step_until(port.engine, lambda: wire.received >= min(peer.tail // 72, 1))
        then()
    step_until(port.engine, lambda: not wire.connected)
    assert not wire.tend() and WORDS.get(what, "no frame") in wire.why and not port.engine.is_wire_up
    assert wire.closer.wait(TIMEOUT)
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        peer.socket.send(HELLO)
    again = join(wire)
    again.shine()
    assert again.send(frame(70))
    step_until(port.engine, lambda: port.engine.is_wire_up and wire.received)
    again.close()


@pytest.mark.parametrize("head", [RING * 2, 4, 1 << 63, (1 << 64) - 8], ids=str)
def test_a_peer_that_took_what_it_was_not_shown(port, wire, peer, head):
    """Its head is looked at once the ring seems full."""
    peer.poke(peer.in_lane + HEAD, head)
    while wire.connected:
        port.tx[0].send(frame(1500))
        port.step(2)
        assert wire.sent <= RING // 1500 + 1
    assert not wire.tend() and "index" in wire.why


def test_a_message_after_the_greeting(port, wire, peer):
    peer.socket.send(b"hello?")
    step_until(port.engine, lambda: not wire.connected)
    assert not wire.tend() and wire.why == "it sent a message after its greeting"


def test_memory_that_is_cut_short_all_the_same(port, wire):
    """A caller of `connect` that did not look at the seals: an access is no SIGBUS, and the peer is cut off."""
    fd = memory(seals=0)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    wire.connect(ours.detach(), fd, True)
    os.ftruncate(fd, 0)
    port.step(5)
    assert not wire.tend() and wire.why == "the memory was taken away"
    os.close(fd), theirs.close()


def test_memory_that_cannot_be_mapped(wire):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    short, (pipe, other) = memory(4096), os.pipe()
    for fd in (short, pipe):
        with pytest.raises(OSError, match=r"bytes at 0x0 of a file|must be a memfd"):
            wire.connect(ours.fileno(), fd, True)
        assert not wire.connected and not wire.tend()
        ours.getpeername()  # still the caller's
    for fd in (short, pipe, other):
        os.close(fd)
    ours.close(), theirs.close()


def test_the_first_frame_after_a_pause_wakes_who_rests(port, wire, peer):
    assert wire.tend() and wire.tend()  # nothing came between them
    assert not wire.rest(0.001)
    waker = threading.Timer(0.02, lambda: peer.poke(peer.out_lane + 256, 0, 4))
    waker.start()
    began = time.monotonic()
    while not wire.rest(0.1):
        assert time.monotonic() < began + TIMEOUT, "nothing wakes it"
    waker.join()
    # The other way: we wake the peer, once.
    peer.poke(peer.in_lane + 256, 1, 4)
    port.tx[0].send(frame(60))
    step_until(port.engine, lambda: wire.sent == 1)
    assert peer.peek(peer.in_lane + 256, 4) == 0


def test_a_busy_peer_wakes_nobody(port, wire, peer):
    assert wire.tend()
    peer.send(frame(60))
    step_until(port.engine, lambda: wire.received == 1)
    assert wire.tend()
    assert peer.peek(peer.out_lane + 256, 4) == 0
    assert not wire.rest(0.001)


def test_a_port_has_one_wire(port, wire):
    with pytest.raises(ConfigError, match="has a wire already"):
        PeerWire(port.engine)
    wire.close()
    PeerWire(port.engine).close()
    assert not port.engine.is_wire_up
    assert TAIL == 0
