# SPDX-License-Identifier: BSD-3-Clause
"""Receive side coalescing: what is merged, when it ends, and what descriptors and headers say of it (7.11)."""

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from dataplane.pmd.datasheet import EICR, GPIE, QBRC_L, QPRC, QPRDC, RDH, RDRXCTL, RXDCTL
from dataplane.pmd.datasheet import descriptors as d
from tests.pmd.model.merging import WAIT_NS, MergingQueue, Wire, data, ready_to_merge, stream, tcp
from tests.pmd.model.rig import MAC, PEER


@pytest.fixture
def wire():
    made = Wire()
    yield made
    assert made.b.violations() == []


def test_segments_in_order_become_one_packet(wire):
    b, send, later = wire.b, wire.send, wire.later
    rx = MergingQueue(b)
    sent = stream(5, ack=7)
    sent[-1][TCP].ack, sent[-1][TCP].window = 9, 555
    send(*sent)
    assert rx.take_large() == []  # it may become longer
    later()
    (large,) = rx.take_large()
    head = len(Ether() / IP() / TCP())
    assert large.data[head:] == b"".join(data(n) for n in range(5))
    assert (large.slots, large.counts) == ([0, 1, 2], [1 + 2, 1 + 3, 1 + 0])
    assert large.sizes == [2048, 2048, head + 5000 - 4096] and large.merged == 5
    assert large.status & (d.RXD_STAT_IPCS | d.RXD_STAT_L4CS | d.RXD_ERR_IPE | d.RXD_ERR_L4E) == (
        d.RXD_STAT_IPCS | d.RXD_STAT_L4CS
    )
    assert large.info & d.RXD_PTYPE_TCP and large.info & d.RXD_PTYPE_IPV4
    got = Ether(large.data)
    assert (got[IP].len, got[TCP].seq, got[TCP].ack, got[TCP].window) == (40 + 5000, 1, 9, 555)
    assert b.clear(QPRC[0]) == 5 and b.clear(QBRC_L[0]) == 5 * (head + 1000)
    assert b.read(RDH[0]) == 3


def test_the_header_is_what_scapy_would_make_of_it(wire):
    b, send = wire.b, wire.send
    rx = MergingQueue(b)
    sent = stream(3, stamp=100, ttl=9, id=77, tos=8)
    sent[2][TCP].options = [("NOP", None), ("NOP", None), ("Timestamp", (500, 501))]
    sent[2][TCP].flags = "PA"
    send(*sent)
    (large,) = rx.take_large()  # PSH: at once
    wanted = Ether(bytes(sent[0]))
    wanted[IP].len, wanted[IP].chksum = 20 + 32 + 3000, None
    wanted[TCP].flags, wanted[TCP].options = "PA", sent[2][TCP].options
    wanted[TCP].payload = Raw(data(0) + data(1) + data(2))
    assert large.data == bytes(wanted)  # TCP's checksum is the first packet's


def test_a_packet_that_stays_alone_is_as_it_was(wire):
    b, send, later = wire.b, wire.send, wire.later
    rx = MergingQueue(b)
    (only,) = stream(1)
    send(only)
    assert rx.take_large() == []
    later()
    (large,) = rx.take_large()
    assert large.data == bytes(only) and large.counts == [0]


def test_connections_interleave_in_one_ring(wire):
    """Descriptors of a packet are not adjacent: NEXTP leads over the others'."""
    b, send, later = wire.b, wire.send, wire.later
    rx = MergingQueue(b)
    rows = list(zip(*(stream(6, flow=flow) for flow in range(3)), strict=True))
    between = Ether(dst=MAC, src=PEER) / IP() / UDP() / Raw(b"between" * 10)
    send(*sum(rows[:3], ()), between, *sum(rows[3:], ()))
    later()
    got = rx.take_large()
    assert got[0].data == bytes(between)
    assert [len(large.data) for large in got[1:]] == [6054] * 3
    for flow, large in enumerate(got[1:]):
        assert large.slots == [flow, 3 + flow, 7 + flow] and large.merged == 6
        assert large.data[54:] == b"".join(data(n) for n in range(6))
        assert Ether(large.data)[TCP].sport == 1000 + flow


@pytest.mark.parametrize(("most", "limit"), [(0, 1), (1, 4), (2, 8), (3, 16)])
def test_maxdesc(wire, most, limit):
    b, send, later = wire.b, wire.send, wire.later
    rx = MergingQueue(b, most=most)
    sent = stream(40)
    for n in range(0, 40, 8):
        send(*sent[n : n + 8])
    later()
    got = rx.take_large()
    assert b"".join(large.data[54:] for large in got) == b"".join(data(n) for n in range(40))
    assert max(len(large.slots) for large in got) == limit
    assert all(1000 + sum(large.sizes) > 2048 * limit for large in got[:-1])


def test_14_packets_in_one_descriptor_are_the_most(wire):
    b, send, later = wire.b, wire.send, wire.later
    rx = MergingQueue(b)
    send(*stream(30, 20))
    later()
    assert [large.counts for large in rx.take_large()] == [[15], [15], [1 + 2]]


def test_32_connections_are_open_at_a_time(wire):
    b, send, later = wire.b, wire.send, wire.later
    rx = MergingQueue(b, n=128)
    for flow in range(34):
        send(*stream(2, 100, flow=flow))
    assert [large.counts for large in rx.take_large()] == []
    later()
    assert sorted(large.merged for large in rx.take_large()) == [0] * 4 + [2] * 32


# ---- when it ends -------------------------------------------------------------------------------------------------


def test_the_interval_begins_with_the_first_packet(wire):
    b, send, later = wire.b, wire.send, wire.later
    rx = MergingQueue(b)
    sent = stream(3)
    send(sent[0])
    later(WAIT_NS // 2)
    send(sent[1])
    later(WAIT_NS // 2 - 1)
    assert rx.take_large() == []
    later(1)
    assert [large.merged for large in rx.take_large()] == [2]
    send(sent[2])
    later(WAIT_NS)
    assert [large.merged for large in rx.take_large()] == [0]


def test_an_interval_ends_for_everything_of_its_vector(wire):
    b, send, later = wire.b, wire.send, wire.later
    rx = MergingQueue(b)
    send(*stream(2))
    later(WAIT_NS // 2)
    send(*stream(2, flow=1))
    later(WAIT_NS // 2)
    assert [large.merged for large in rx.take_large()] == [2, 2]


def test_an_interrupt_comes_when_it_is_complete_and_not_before(wire):
    b, send, later = wire.b, wire.send, wire.later
    MergingQueue(b)
    b.write(GPIE, GPIE.pack(MSIX=1))
    b.interrupts.run()
    before = b.read(EICR)
    send(*stream(3))
    assert b.read(EICR) == before
    later()
    assert b.read(EICR) == before | 1 << 1  # vector 1


@pytest.mark.parametrize("how", ["seq", "old", "tos", "stamp", "ack"])
def test_what_does_not_go_on_ends_it_and_begins_anew(wire, how):
    b, send, later = wire.b, wire.send, wire.later
    rx = MergingQueue(b)
    first, second, third = stream(3)
    if how == "seq":
        third[TCP].seq += 1
    elif how == "old":
        third[TCP].seq = 1
    elif how == "tos":
        third[IP].tos = 2
    elif how == "stamp":
        third = tcp(2001, data(2), stamp=5)
    else:
        third[TCP].flags = ""
    send(first, second, third)
    (large,) = rx.take_large()
    assert large.merged == 2
    later()
    assert [large.data for large in rx.take_large()] == [bytes(third)]


def test_ack_change_counts_only_with_rscackc(wire):
    b, send, later = wire.b, wire.send, wire.later
    rx = MergingQueue(b)
    b.write(RDRXCTL, RDRXCTL.pack(CRCSTRIP=1))
    first, second = stream(2)
    second[TCP].flags = ""
    send(first, second)
    later()
    assert [large.merged for large in rx.take_large()] == [2]


# ---- memory and time ----------------------------------------------------------------------------------------------


def test_with_no_descriptors_left_it_is_complete_and_others_are_dropped(wire):
    b, send = wire.b, wire.send
    rx = MergingQueue(b, n=8, drop=1)
    send(*stream(30))
    assert [len(large.slots) for large in rx.take_large(refill=False)] == [7]
    assert b.clear(QPRDC[0]) == 30 - (7 * 2048 - 54) // 1000 == 30 - b.clear(QPRC[0])


def test_a_queue_that_is_disabled_completes_what_is_open(wire):
    b, send, later = wire.b, wire.send, wire.later
    rx = MergingQueue(b)
    send(*stream(3))
    b.write(RXDCTL[0], 0)
    assert [large.merged for large in rx.take_large(refill=False)] == [3]
    later()


def test_a_reset_forgets_what_is_open(wire):
    b, send, later = wire.b, wire.send, wire.later
    rx = MergingQueue(b)
    send(*stream(3))
    b.engine.restart()
    later()
    assert rx.take_large(refill=False) == []


def test_it_needs_the_global_switch_only(wire):
    """A queue that was on before the port's registers were ready merges from then on."""
    b, send, later = wire.b, wire.send, wire.later
    rx = MergingQueue(b, ready=False)
    send(*stream(2))
    assert [large.counts for large in rx.take_large()] == [[0], [0]]
    ready_to_merge(b)
    send(*stream(2))
    later()
    assert [large.merged for large in rx.take_large()] == [2]
