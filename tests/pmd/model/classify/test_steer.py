# SPDX-License-Identifier: BSD-3-Clause
"""Which queue a frame goes to: filters before RSS, and their order (datasheet 7.1.2)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.all import IP, TCP, UDP, Dot1Q, Ether, Raw

from dataplane.pmd.datasheet import DAQF, ETQF, ETQS, FTQF, L34TIMIR, MRQC, RETA, RTRUP2TC, SAQF, SDPQF, SYNQF
from dataplane.pmd.datasheet import descriptors as d
from tests.pmd.model.classify.test_packet import set_key
from tests.pmd.model.reference import parse, rss
from tests.pmd.model.rig import MAC, PEER, frame, pair

SYN, ACK = 2, 16


@pytest.fixture
def ports():
    a, b = pair(4 << 20)
    a.tx_queue()
    for queue in (*range(16), 32, 64, 96, 127):
        b.rx_queue(queue, n=8)
    set_key(b)
    return a, b


def build(*layers, **ether) -> bytes:
    packet = Ether(dst=MAC.hex(":"), src=PEER.hex(":"), **ether)
    for layer in layers:
        packet /= layer
    return bytes(packet).ljust(60, b"\0")


def queue_of(ports, data: bytes) -> int:
    a, b = ports
    a.tx[0].send(data)
    a.step()
    b.step()
    hit = [index for index, queue in b.rx.items() if queue.take()]
    assert len(hit) == 1
    return hit[0]


def five_tuple(port, n, queue, *, src=None, dst=None, sport=None, dport=None, protocol=None, priority=1):
    """A filter; None ignores that part. Addresses as text."""

    def packed(text):
        return int.from_bytes(bytes(map(int, text.split("."))), "little") if text else 0

    def swapped(number):
        return int.from_bytes((number or 0).to_bytes(2, "big"), "little")

    port.write(SAQF[n], packed(src))
    port.write(DAQF[n], packed(dst))
    port.write(SDPQF[n], swapped(sport) | swapped(dport) << 16)
    port.write(L34TIMIR[n], L34TIMIR.pack(RX_QUEUE=queue, RESERVED=0x40, SIZE_BP=1))
    port.write(
        FTQF[n],
        FTQF.pack(
            ENABLE=1,
            PROTOCOL={"TCP": 0, "UDP": 1, "SCTP": 2}.get(protocol, 3),
            PRIORITY=priority,
            SRC_MASK=src is None,
            DST_MASK=dst is None,
            SPORT_MASK=sport is None,
            DPORT_MASK=dport is None,
            PROTOCOL_MASK=protocol is None,
            POOL_MASK=1,
        ),
    )


def test_queue_0_without_anything(ports):
    assert queue_of(ports, build(IP(src="1.2.3.4", dst="5.6.7.8") / UDP())) == 0


def test_rss_off_with_fields_on(ports):
    ports[1].write(MRQC, 0x1FF << 16)
    ports[1].write(RETA[0], 0x05050505)
    assert queue_of(ports, build(IP() / UDP())) == 0


HOSTS = ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
some = st.none() | st.sampled_from(HOSTS)
port_numbers = st.sampled_from([80, 443, 0x0102])


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_five_tuples(data):
    a, b = ports = pair(2 << 20)
    a.tx_queue()
    for queue in range(8):
        b.rx_queue(queue, n=8)
    rules = []
    for n in data.draw(st.lists(st.sampled_from([0, 1, 7, 64, 126, 127]), unique=True, max_size=5)):
        rule = {
            "src": data.draw(some),
            "dst": data.draw(some),
            "sport": data.draw(st.none() | port_numbers),
            "dport": data.draw(st.none() | port_numbers),
            "protocol": data.draw(st.none() | st.sampled_from(["TCP", "UDP", "other"])),
            "priority": data.draw(st.integers(0, 7)),
        }
        queue = data.draw(st.integers(1, 7))
        five_tuple(b, n, queue, **rule)
        rules.append((n, queue, rule))
    for _ in range(4):
        src, dst, kind = (
            data.draw(st.sampled_from(HOSTS)),
            data.draw(st.sampled_from(HOSTS)),
            data.draw(st.sampled_from("TUO")),
        )
        sport, dport = data.draw(port_numbers), data.draw(port_numbers)
        l4 = {"T": TCP(sport=sport, dport=dport), "U": UDP(sport=sport, dport=dport), "O": Raw(b"x" * 20)}[
            kind
        ]
        text = build(IP(src=src, dst=dst, proto={"T": 6, "U": 17, "O": 47}[kind]) / l4)
        expected, best = 0, (-1, 0)
        for n, queue, rule in rules:
            fits = (
                rule["src"] in (None, src)
                and rule["dst"] in (None, dst)
                and rule["protocol"] in (None, {"T": "TCP", "U": "UDP", "O": "other"}[kind])
                and (rule["sport"] is None or (kind != "O" and rule["sport"] == sport))
                and (rule["dport"] is None or (kind != "O" and rule["dport"] == dport))
            )
            if fits and (rule["priority"], -n) > best:
                expected, best = queue, (rule["priority"], -n)
        assert queue_of(ports, text) == expected


def test_ethertype_filter(ports):
    _, b = ports
    b.write(ETQF[3], ETQF.pack(ETYPE=0x88B5, FILTER_EN=1))
    b.write(ETQS[3], ETQS.pack(RX_QUEUE=127, QUEUE_EN=1))
    assert queue_of(ports, frame(64)) == 127
    assert queue_of(ports, frame(64, etype=0x88B6)) == 0
    b.write(ETQS[3], ETQS.pack(RX_QUEUE=127))
    assert queue_of(ports, frame(64)) == 0, "without its queue enabled a filter only marks"


def test_ethertype_filter_shows_in_the_packet_type():
    a, b = pair()
    a.tx_queue()
    rx = b.rx_queue()
    b.write(ETQF[5], ETQF.pack(ETYPE=0x88B5, FILTER_EN=1))
    a.tx[0].send(frame(64))
    a.step()
    b.step()
    (got,) = rx.take()
    assert got.info & d.RXD_PKT_TYPE_MASK == d.RXD_PTYPE_ETQF | 5 << 4


@pytest.mark.parametrize(("syn_first", "winner"), [(1, 3), (0, 4)])
def test_syn_against_five_tuple(ports, syn_first, winner):
    _, b = ports
    b.write(SYNQF, SYNQF.pack(ENABLE=1, RX_QUEUE=3, SYNQFP=syn_first))
    b.write(MRQC, 1 | 1 << 17)
    for n in range(32):
        b.write(RETA[n], 0x06060606)
    five_tuple(b, 0, 4, dport=80)
    assert queue_of(ports, build(IP() / TCP(dport=80, flags=SYN))) == winner
    assert queue_of(ports, build(IP() / TCP(dport=81, flags=SYN))) == 3
    assert queue_of(ports, build(IP() / TCP(dport=80, flags=ACK))) == 4
    assert queue_of(ports, build(IP() / TCP(dport=81, flags=ACK))) == 6
    assert queue_of(ports, build(IP() / UDP(dport=81))) == 6


def test_ethertype_before_everything(ports):
    _, b = ports
    b.write(SYNQF, SYNQF.pack(ENABLE=1, RX_QUEUE=3, SYNQFP=1))
    b.write(ETQF[0], ETQF.pack(ETYPE=0x0800, FILTER_EN=1))
    b.write(ETQS[0], ETQS.pack(RX_QUEUE=9, QUEUE_EN=1))
    assert queue_of(ports, build(IP() / TCP(flags=SYN))) == 9


@pytest.mark.parametrize(
    ("mode", "per_class", "hashed"), [(2, 16, False), (3, 32, False), (4, 16, True), (5, 32, True)]
)
def test_traffic_classes(ports, mode, per_class, hashed):
    _, b = ports
    b.write(RTRUP2TC, 2 << 3 * 5 | 0)  # priority 5 is class 2
    b.write(MRQC, mode | 1 << 17)
    for n in range(32):
        b.write(RETA[n], 0)
    assert queue_of(ports, build(Dot1Q(prio=0) / IP() / UDP())) == 0
    assert queue_of(ports, build(Dot1Q(prio=5) / IP() / UDP())) == 2 * per_class
    assert queue_of(ports, build(IP() / UDP())) == 0


def test_reta_picks_among_sixteen(ports):
    _, b = ports
    b.write(MRQC, 1 | 1 << 22)
    for n in range(32):
        b.write(RETA[n], sum((4 * n + i & 15) << 8 * i for i in range(4)))
    seen = set()
    for n in range(60):
        text = build(IP(src="10.0.0.9", dst="10.0.0.7") / UDP(sport=1000 + n, dport=7))
        queue = queue_of(ports, text)
        assert queue == rss(parse(text), 1 << 6)[1] & 15
        seen.add(queue)
    assert len(seen) == 16
