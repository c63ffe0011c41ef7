# SPDX-License-Identifier: BSD-3-Clause
"""Receive side coalescing: what is not merged, and where nothing is (7.11.1)."""

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Raw

from dataplane.pmd.datasheet import HLREG0, PSRTYPE, RDRXCTL, RFCTL, RSCCTL, RSCDBU, VT_CTL
from tests.pmd.model.merging import MergingQueue, Wire, data, stream, tcp
from tests.pmd.model.rig import MAC, PEER


@pytest.fixture
def wire():
    made = Wire()
    yield made
    assert made.b.violations() == []


V6 = Ether(dst=MAC, src=PEER) / IPv6(src="fe80::1", dst="fe80::2")


@pytest.mark.parametrize(
    "change",
    [
        lambda n: tcp(1 + 1000 * n, data(n), flags="PA"),
        lambda n: tcp(1 + 1000 * n, data(n), flags="FA"),
        lambda n: tcp(1 + 1000 * n, data(n), flags="SA"),
        lambda n: tcp(1 + 1000 * n, data(n), flags="RA"),
        lambda n: tcp(1 + 1000 * n, data(n), flags="UA"),
        lambda n: tcp(1 + 1000 * n, data(n), flags="EA"),
        lambda n: tcp(1 + 1000 * n, data(n), flags="CA"),
        lambda n: tcp(1, b""),
        lambda n: V6 / TCP(seq=1 + 1000 * n, flags="A") / Raw(data(n)),
        lambda n: Ether(dst=MAC, src=PEER) / IP() / UDP() / Raw(data(n)),
        lambda n: tcp(1 + 1000 * n, data(n), chksum=1),
        lambda n: Ether(dst=MAC, src=PEER) / IP(chksum=1) / TCP(seq=1 + 1000 * n, flags="A") / Raw(data(n)),
        lambda n: Ether(dst=MAC, src=PEER) / IP(options=b"\x01" * 4) / TCP(seq=1 + 1000 * n) / Raw(data(n)),
        lambda n: Ether(dst=MAC, src=PEER) / IP(flags="MF") / TCP(seq=1 + 1000 * n) / Raw(data(n)),
        lambda n: (
            Ether(dst=MAC, src=PEER)
            / IP()
            / TCP(seq=1 + 1000 * n, flags="A", options=[("MSS", 1000)])
            / Raw(data(n))
        ),
        lambda n: (
            Ether(dst=MAC, src=PEER)
            / IP()
            / TCP(seq=1 + 1000 * n, flags="A", options=[("Timestamp", (1, 2)), ("NOP", None), ("NOP", None)])
            / Raw(data(n))
        ),
    ],
    ids=[
        "psh",
        "fin",
        "syn",
        "rst",
        "urg",
        "ece",
        "cwr",
        "ack",
        "ipv6",
        "udp",
        "l4sum",
        "ipsum",
        "ipopt",
        "fragment",
        "mss",
        "order",
    ],
)
def test_what_may_not_be_merged_comes_at_once_and_unchanged(wire, change):
    b, send = wire.b, wire.send
    rx = MergingQueue(b)
    sent = [change(n) for n in range(3)]
    send(*sent)
    got = rx.take_large()
    assert [large.data for large in got] == [bytes(packet).ljust(60, b"\0") for packet in sent]
    assert [large.counts for large in got] == [[0]] * 3


def test_a_packet_that_may_not_be_merged_comes_behind_what_is_open(wire):
    b, send = wire.b, wire.send
    rx = MergingQueue(b)
    sent = stream(3)
    sent[2][TCP].flags = "FA"
    send(*sent)
    merged, last = rx.take_large()
    assert merged.merged == 2 and last.data == bytes(sent[2]) and last.counts == [0]


def test_acks_are_merged_without_rscackdis(wire):
    b, send, later = wire.b, wire.send, wire.later
    rx = MergingQueue(b)
    b.write(RSCDBU, 0)
    send(*(tcp(1, b"", ack=n) for n in range(5)))
    later()
    (large,) = rx.take_large()
    assert large.merged == 5 and Ether(large.data)[TCP].ack == 4 and len(large.data) == 54


def test_time_stamps_only_without_ts_dis(wire):
    b, send = wire.b, wire.send
    rx = MergingQueue(b, stamps=False)
    send(*stream(3, stamp=1))
    assert [large.counts for large in rx.take_large()] == [[0]] * 3


def test_a_first_packet_is_as_long_as_rscfrstsize_says(wire):
    b, send, later = wire.b, wire.send, wire.later
    rx = MergingQueue(b)
    b.write(RDRXCTL, RDRXCTL.pack(CRCSTRIP=1, RSCACKC=1, RSCFRSTSIZE=8))
    send(*stream(2, 1024 - 54), *stream(2, 1023 - 54, flow=1))
    later()
    assert sorted(large.merged for large in rx.take_large()) == [0, 0, 2]


@pytest.mark.parametrize("strip", [False, True])
def test_tags_must_agree_and_are_taken_off(wire, strip):
    b, send, later = wire.b, wire.send, wire.later
    rx = MergingQueue(b, rxdctl=int(strip) << 30)
    send(tcp(1, data(0), vid=5), tcp(1001, data(1), vid=5), tcp(2001, data(2), vid=6), tcp(2001, data(2)))
    later()
    got = rx.take_large()
    assert [large.merged for large in got] == [2, 0, 0]
    assert [large.vlan for large in got] == [5, 6, 0]
    assert [Dot1Q in Ether(large.data) for large in got] == [not strip, not strip, False]
    assert got[0].data[-2000:] == data(0) + data(1) and Ether(got[0].data)[IP].len == 2040


OFF = [
    (RFCTL, RFCTL.pack(RSC_DIS=1)),
    (VT_CTL, VT_CTL.pack(VT_ENA=1)),
    (PSRTYPE[0], 0),
    (RSCCTL[0], 0),
]


@pytest.mark.parametrize(("register", "value"), OFF, ids=lambda each: getattr(each, "name", None))
def test_where_it_is_off_nothing_is_merged(wire, register, value):
    """Turned off while a packet is open: that one is completed first."""
    b, send = wire.b, wire.send
    rx = MergingQueue(b)
    send(*stream(2))
    b.write(register, value)
    b.step()
    assert [large.merged for large in rx.take_large()] == [2]
    if register is VT_CTL:
        return  # packets go by pools now
    sent = stream(3)
    send(*sent)
    assert [large.data for large in rx.take_large()] == [bytes(packet) for packet in sent]


@pytest.mark.parametrize("wrong", ["strip", "header"])
def test_set_up_wrongly_it_merges_nothing(wire, wrong):
    b, send = wire.b, wire.send
    rx = MergingQueue(b, header=1 if wrong == "header" else 4)
    if wrong == "strip":
        b.write(HLREG0, b.read(HLREG0) & ~2)
    sent = stream(3)
    send(*sent)
    size = len(bytes(sent[0]))
    assert [large.data[:size] for large in rx.take_large()] == [bytes(packet) for packet in sent]


def test_without_a_timer_nothing_waits_for_ever():
    wire = Wire()
    rx = MergingQueue(wire.b, wait=0)
    wire.send(*stream(3))
    assert [large.merged for large in rx.take_large()] == [3]
    (said,) = wire.b.violations()
    assert "no vector with an interval ends that" in said
