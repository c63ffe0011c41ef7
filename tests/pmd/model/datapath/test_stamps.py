# SPDX-License-Identifier: BSD-3-Clause
"""Which packets get a time stamp, of which instant, and when they get none (datasheet 7.9, 8.2.3.26)."""

import struct

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether

from dataplane.pmd.datasheet import (
    ETQF,
    MRQC,
    RXMTRL,
    RXPBSIZE,
    RXSATRH,
    RXSATRL,
    RXSTMPH,
    RXSTMPL,
    STAMP_ALL,
    STAMP_EVENTS,
    STAMP_L2_V2,
    STAMP_L4_V1,
    STAMP_V2,
    TIMINCA,
    TSYNCRXCTL,
    TSYNCTXCTL,
    TXSTMPH,
    TXSTMPL,
)
from tests.pmd.model.rig import MAC, PEER, Port, frame, pair

TS = 1 << 16  # of an advanced descriptor's status
MARK = 1 << 19  # of a Tx descriptor
TENTHS = TIMINCA.pack(INCVALUE=64, INCPERIOD=1)  # SYSTIM counts tenths of a ns
SOURCE = bytes.fromhex("0011223344556677")  # clock identity
SYNC, DELAY_REQ, PDELAY_REQ, PDELAY_RESP, FOLLOW_UP, ANNOUNCE = 0, 1, 2, 3, 8, 11


def message(kind=SYNC, sequence=0x1234, version=2):
    """44 bytes of PTP; of version 1 `kind` is the control field."""
    if version == 1:
        head = struct.pack("!HH16s", 1, 1, b"_DFLT") + bytes([1, 1]) + SOURCE[:6] + b"\0\1"
        return head + struct.pack("!HB", sequence, kind) + bytes(11)
    head = struct.pack("!BBH", kind, version, 44) + bytes(16) + SOURCE + b"\0\1"
    return head + struct.pack("!HBb", sequence, 0, 0) + bytes(10)


def ethernet(*args, etype=0x88F7, tag=None, **more):
    tagged = b"" if tag is None else b"\x81\x00" + tag.to_bytes(2, "big")
    return (MAC + PEER + tagged + etype.to_bytes(2, "big") + message(*args, **more)).ljust(60, b"\0")


def udp(*args, port=319, ip=IP, tags=0, **more):
    layers = Ether(dst=MAC, src=PEER)
    for _ in range(tags):
        layers /= Dot1Q(vlan=5)
    return bytes(layers / ip() / UDP(dport=port) / message(*args, **more))


def enable(port: Port, kind: int, message: int = 0, udp_port: int = 319) -> None:
    port.write(TIMINCA, TENTHS)
    port.write(ETQF[3], ETQF[3].pack(ETYPE=0x88F7, IEEE1588=1, FILTER_EN=1))
    port.write(RXMTRL, RXMTRL.pack(CTRLT=message, MSGT=message, UDPT=udp_port))
    port.write(TSYNCRXCTL, TSYNCRXCTL.pack(TYPE=kind, ENABLE=1))
    port.write(TSYNCTXCTL, TSYNCTXCTL.pack(ENABLE=1))


def held(port: Port, control=TSYNCRXCTL) -> int:
    return control.VALID.extract(port.read(control))


def stamp(port: Port) -> int:
    """Rx, and unlocked, as a read of the high word does."""
    assert held(port)
    value = port.read(RXSTMPL) | port.read(RXSTMPH) << 32
    port.write(TSYNCRXCTL, port.read(TSYNCRXCTL) & ~1)
    return value


def tx_stamp(port: Port) -> int:
    assert held(port, TSYNCTXCTL)
    value = port.read(TXSTMPL) | port.read(TXSTMPH) << 32
    port.write(TSYNCTXCTL, port.read(TSYNCTXCTL) & ~1)
    return value


@pytest.fixture
def ends():
    return joined()


def joined(**wire):
    a, b = pair(**wire)
    a.tx_queue(), b.rx_queue()
    return a, b


def cross(a: Port, b: Port, *frames: bytes, command: int = 0) -> list[bool]:
    """Whether the descriptors say that each was stamped."""
    for data in frames:
        a.tx[0].send(data, command=command)
    a.step(), b.step()
    return [bool(each.status & TS) for each in b.rx[0].take()]


KINDS = [
    (STAMP_EVENTS, 0, ethernet(SYNC), 1),
    (STAMP_EVENTS, 0, ethernet(DELAY_REQ), 1),
    (STAMP_EVENTS, 0, ethernet(7), 1),
    (STAMP_EVENTS, 0, ethernet(FOLLOW_UP), 0),
    (STAMP_EVENTS, 0, ethernet(SYNC, tag=7), 1),
    (STAMP_EVENTS, 0, ethernet(SYNC, etype=0x88F8), 0),
    (STAMP_EVENTS, 0, ethernet(SYNC, version=3), 0),
    (STAMP_EVENTS, 0, udp(SYNC), 1),
    (STAMP_EVENTS, 0, udp(SYNC, tags=1), 1),
    (STAMP_EVENTS, 0, udp(DELAY_REQ, ip=IPv6), 1),
    (STAMP_EVENTS, 0, udp(ANNOUNCE), 0),
    (STAMP_EVENTS, 0, udp(SYNC, port=320), 0),
    (STAMP_EVENTS, 0, udp(SYNC, version=1), 0),
    (STAMP_V2, DELAY_REQ, udp(DELAY_REQ), 1),
    (STAMP_V2, DELAY_REQ, ethernet(DELAY_REQ), 1),
    (STAMP_V2, DELAY_REQ, ethernet(SYNC), 0),
    (STAMP_V2, DELAY_REQ, udp(PDELAY_REQ), 1),
    (STAMP_L2_V2, SYNC, ethernet(SYNC), 1),
    (STAMP_L2_V2, SYNC, ethernet(PDELAY_RESP), 1),
    (STAMP_L2_V2, SYNC, ethernet(DELAY_REQ), 0),
    (STAMP_L2_V2, SYNC, udp(SYNC), 0),
    (STAMP_L4_V1, DELAY_REQ, udp(DELAY_REQ, version=1), 1),
    (STAMP_L4_V1, DELAY_REQ, udp(SYNC, version=1), 0),
    (STAMP_L4_V1, DELAY_REQ, udp(DELAY_REQ), 0),
    (STAMP_L4_V1, DELAY_REQ, ethernet(DELAY_REQ, version=1), 0),
    (3, 0, ethernet(SYNC), 0),
]


@pytest.mark.parametrize(("kind", "wanted", "data", "stamped"), KINDS, ids=range(len(KINDS)))
def test_packets_as_the_filters_say(ends, kind, wanted, data, stamped):
    a, b = ends
    enable(b, kind, wanted)
    assert cross(a, b, data) == [bool(stamped)]
    assert held(b) == stamped


def test_the_port_of_udp(ends):
    a, b = ends
    enable(b, STAMP_EVENTS, udp_port=4000)
    assert cross(a, b, udp(SYNC), udp(SYNC, port=4000)) == [False, True]


def test_without_its_bit_an_ethertype_filter_finds_none(ends):
    a, b = ends
    enable(b, STAMP_EVENTS)
    b.write(ETQF[3], ETQF[3].pack(ETYPE=0x88F7, FILTER_EN=1))
    assert cross(a, b, ethernet(SYNC)) == [False]


def test_who_sent_it_and_its_number(ends):
    a, b = ends
    enable(b, STAMP_EVENTS)
    cross(a, b, ethernet(SYNC, sequence=0xABCD))
    assert b.read(RXSATRL).to_bytes(4, "little") == SOURCE[2:6]
    high = b.read(RXSATRH).to_bytes(4, "little")
    assert high == SOURCE[6:8] + bytes.fromhex("ABCD")  # as they lie in the message


def test_one_is_held_until_it_is_read(ends):
    a, b = ends
    enable(b, STAMP_EVENTS)
    assert cross(a, b, ethernet(SYNC, 1), ethernet(SYNC, 2), frame(60)) == [True, False, False]
    assert b.read(RXSATRH) >> 16 == 0x0100
    first = stamp(b)
    b.clock.advance_ns(1000)
    assert cross(a, b, ethernet(SYNC, 3)) == [True]
    assert stamp(b) - first == pytest.approx(10_000, abs=64)


def test_all_packets_locks_nothing(ends):
    a, b = ends
    enable(b, STAMP_ALL)
    assert cross(a, b, frame(60)) == [False]  # the descriptor does not say so
    first = b.read(RXSTMPL)
    b.clock.advance_ns(1000)
    cross(a, b, frame(60))
    assert held(b) and b.read(RXSTMPL) - first == pytest.approx(10_000, abs=64)


@pytest.mark.parametrize("delay_ns", [0, 50_000])
def test_both_stamps_are_of_the_same_instant_and_the_wires_delay(delay_ns):
    """Whenever the ports come to move the frame."""
    a, b = joined(delay_ns=delay_ns)
    enable(a, STAMP_EVENTS), enable(b, STAMP_EVENTS)
    a.clock.advance_ns(12_345)
    a.tx[0].send(ethernet(SYNC), command=MARK)
    a.step()
    a.clock.advance_ns(987_654)
    b.step()
    assert stamp(b) - tx_stamp(a) == pytest.approx(10 * delay_ns, abs=64)


def test_a_rate_of_the_wire_is_in_it():
    a, b = joined(rate=10_000_000_000)
    enable(a, STAMP_EVENTS), enable(b, STAMP_EVENTS)
    a.tx[0].send(ethernet(SYNC), command=MARK)
    a.step()
    a.clock.advance_ns(100_000)
    b.step()
    assert stamp(b) - tx_stamp(a) == pytest.approx((60 + 24) * 8, abs=64)


def test_a_frame_that_left_before_stamps_were_on_is_stamped_when_it_is_seen(ends):
    a, b = ends
    enable(a, STAMP_EVENTS)
    a.tx[0].send(ethernet(SYNC), command=MARK)
    a.step()
    a.clock.advance_ns(1000)
    enable(b, STAMP_EVENTS)
    a.clock.advance_ns(1000)
    b.step()
    assert stamp(b) == pytest.approx(10_000, abs=64)


def test_a_packet_that_waits_for_descriptors_keeps_its_stamp():
    a, b = pair()
    a.tx_queue(), b.rx_queue(give=0)
    enable(b, STAMP_EVENTS), enable(a, STAMP_EVENTS)
    a.tx[0].send(ethernet(SYNC, 1), command=MARK), a.tx[0].send(ethernet(SYNC, 2))
    a.step(), b.step(3)
    a.clock.advance_ns(50_000)
    b.step(3)
    b.rx[0].give(8)
    b.step(3)
    assert [bool(each.status & TS) for each in b.rx[0].take()] == [True, False]
    assert stamp(b) == tx_stamp(a)


def test_with_rss_and_without(ends):
    a, b = ends
    enable(b, STAMP_EVENTS)
    b.write(MRQC, 1 | 3 << 16)
    assert cross(a, b, ethernet(SYNC)) == [True]
    b.write(TSYNCRXCTL, 0)
    assert cross(a, b, ethernet(SYNC)) == [False]


@pytest.mark.parametrize(("command", "on", "stamped"), [(MARK, 1, 1), (0, 1, 0), (MARK, 0, 0)])
def test_who_sends_is_stamped_if_it_is_marked(ends, command, on, stamped):
    a, b = ends
    enable(a, STAMP_EVENTS)
    a.write(TSYNCTXCTL, TSYNCTXCTL.pack(ENABLE=on))
    cross(a, b, frame(60), command=command)
    assert held(a, TSYNCTXCTL) == stamped


def test_a_mark_changes_nothing_of_the_packet(ends):
    a, b = ends
    for command in (0, MARK):
        a.tx[0].send(frame(99), pieces=3, command=command)
        a.tx[0].send(frame(40), command=command)
    a.step(), b.step()
    got = [each.data for each in b.rx[0].take()]
    assert got[:2] == got[2:] and got[0] == frame(99)


def test_one_that_left_is_held_until_it_is_read(ends):
    a, b = ends
    enable(a, STAMP_EVENTS)
    cross(a, b, frame(60), command=MARK)
    first = a.read(TXSTMPL)
    a.clock.advance_ns(1000)
    cross(a, b, frame(60), command=MARK)
    assert tx_stamp(a) == first
    cross(a, b, frame(60), command=MARK)
    assert tx_stamp(a) - first == pytest.approx(10_000, abs=64)


def test_a_frame_that_is_lost_has_left():
    """Its receiver has no room for it."""
    a, b = pair(elastic=False)
    a.tx_queue()
    enable(a, STAMP_EVENTS)
    b.write(RXPBSIZE[0], 1 << 10)
    a.tx[0].send(frame(1500), command=MARK)
    a.step()
    assert held(a, TSYNCTXCTL)


def test_a_stamp_of_a_clock_that_stands_still_is_a_violation(ends):
    a, b = ends
    enable(b, STAMP_EVENTS)
    b.write(TIMINCA, 0)
    cross(a, b, ethernet(SYNC))
    (said,) = b.violations()
    assert "SYSTIM stands still" in said
