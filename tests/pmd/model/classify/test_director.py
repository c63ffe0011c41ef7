# SPDX-License-Identifier: BSD-3-Clause
"""The flow director: which packet finds which filter, what is counted, what the descriptor says (datasheet 7.1.2.7)."""

from dataclasses import replace

import pytest
from directing import EVERYTHING, KINDS, Director, Tuple, bit_hash
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.all import IP, SCTP, TCP, UDP, Dot1Q, Ether, IPv6, Raw

from dataplane.pmd.datasheet import (
    BUCKET_HASH_KEY,
    ETQF,
    ETQS,
    FDIRCMD,
    FDIRCTRL,
    FDIRFREE,
    FDIRFSTAT,
    FDIRLEN,
    FDIRMATCH,
    FDIRMISS,
    FDIRUSTAT,
    MRQC,
    QPRDC,
    RETA,
    RXPBSIZE,
    SIGNATURE_HASH_KEY,
)
from dataplane.pmd.datasheet import descriptors as d
from tests.pmd.model.classify.test_packet import set_key
from tests.pmd.model.classify.test_steer import five_tuple
from tests.pmd.model.rig import MAC, PEER, frame, pair

HOSTS = ["10.0.0.1", "10.0.0.2", "10.0.1.1", "192.168.7.9"]
FLOW = Tuple("10.0.0.1", "10.0.0.2", 1000, 53, KINDS["UDP"])


@pytest.fixture
def ports():
    a, b = pair(4 << 20)
    a.tx_queue()
    for queue in range(8):
        b.rx_queue(queue, n=8)
    set_key(b)
    return a, b


def packet(flow: Tuple) -> bytes:
    """A frame that has what the tuple says; flex: the bytes of its payload."""
    layers = Ether(dst=MAC.hex(":"), src=PEER.hex(":"))
    if flow.vlan:
        layers /= Dot1Q(vlan=flow.vlan & 0xFFF, prio=flow.vlan >> 13)
    ip = IPv6(src=flow.src, dst=flow.dst) if flow.kind & 4 else IP(src=flow.src, dst=flow.dst)
    l4 = {1: UDP, 2: TCP, 3: SCTP}.get(flow.kind & 3)
    payload = Raw(flow.flex.to_bytes(2, "big") * 10)
    layers /= ip / l4(sport=flow.sport, dport=flow.dport) / payload if l4 else ip / payload
    if not l4:
        layers[IPv6 if flow.kind & 4 else IP].setfieldval("nh" if flow.kind & 4 else "proto", 47)
    return bytes(layers).ljust(60, b"\0")


def arrive(ports, data):
    """The queue and what its descriptor says; None: dropped."""
    a, b = ports
    a.tx[0].send(data)
    a.step()
    b.step()
    hit = [(index, got) for index, queue in b.rx.items() for got in queue.take()]
    assert len(hit) <= 1
    return hit[0] if hit else None


def test_hash_of_known_flows():
    """Worked out by hand from the keys: one bit of the input at a time."""
    none = [0] * 21
    assert bit_hash(BUCKET_HASH_KEY, none) == 0
    # The lowest bit of the last word is bit 320 of the stream: it puts K[(320 - j) % 32] into bit j of the result.
    last = [*none[:20], 1]
    for key in (BUCKET_HASH_KEY, SIGNATURE_HASH_KEY):
        assert bit_hash(key, last) == sum((key >> (320 - j) % 32 & 1) << j for j in range(16))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_perfect_filters(data):
    """Any filters and packets under any masks: the expected queue comes from the fields, not from a hash."""
    a, b = ports = pair(4 << 20)
    a.tx_queue()
    for queue in range(8):
        b.rx_queue(queue, n=8)
    draw = data.draw
    prefix = st.sampled_from(["0.0.0.0", "255.255.255.0", "255.255.255.255", "255.0.0.255"])
    number = st.sampled_from([0, 0xFFFF, 0xFF00, 0x0FFF])
    mask = Tuple(
        draw(prefix), draw(prefix), draw(number), draw(number),
        vlan=draw(st.sampled_from([0, 0xEFFF, 0x0FFF, 0xE000])), flex=draw(st.sampled_from([0, 0xFFFF])), kind=7,
    )  # fmt: skip
    if not mask.sport and not mask.dport and draw(st.booleans()):
        mask = replace(mask, kind=4)
    host, port = st.sampled_from(HOSTS), st.sampled_from([53, 1000, 0x3501, 0xFF35])
    flows = st.builds(
        Tuple, host, host, port, port, st.sampled_from([0, 1, 2]), st.sampled_from([0, 5, 0x2005, 7]),
        st.sampled_from([0x6162, 0x4142]),
    )  # fmt: skip

    def seen(flow):
        """What the chip compares: a packet of another protocol has no ports; bytes 46 and 47 of the frame are any."""
        flex = int.from_bytes(packet(flow)[46:48], "big")
        ports = {} if flow.kind & 3 in (1, 2) else {"sport": 0, "dport": 0}
        return replace(flow, flex=flex, **ports).masked(mask)

    director = Director(b, mask, memory=draw(st.sampled_from([1, 2, 3])), FLEX=23)
    rules = {}
    for n, flow in enumerate(draw(st.lists(flows, max_size=5))):
        if seen(flow) not in rules:
            rules[seen(flow)] = queue = draw(st.integers(1, 7))
            director.add(seen(flow), queue, n)
    for flow in draw(st.lists(flows, min_size=1, max_size=4)):
        queue, got = arrive(ports, packet(flow))
        assert queue == rules.get(seen(flow), 0)
        assert bool(got.status & d.RXD_STAT_FLM) == (seen(flow) in rules)


def test_signatures(ports):
    _, b = ports
    director = Director(b, perfect=False, mask=replace(EVERYTHING, flex=0, pool=0))
    six = Tuple("2001:db8::1", "2001:db8::2", 1000, 53, KINDS["TCP"] | 4)
    four = replace(FLOW, kind=KINDS["TCP"])
    director.mask = replace(director.mask, src="ffff:" * 7 + "ffff", dst="::")
    director.add(six, 3)
    director.mask = replace(EVERYTHING, flex=0, pool=0)
    director.add(four, 4)
    assert arrive(ports, packet(four))[0] == 4
    assert arrive(ports, packet(replace(four, dport=54)))[0] == 0
    assert arrive(ports, packet(replace(six, dst="2001:db8::77")))[0] == 3, "destinations are masked by DIPV6"
    assert arrive(ports, packet(replace(six, src="2001:db8::77")))[0] == 0
    assert (b.clear(FDIRMATCH), b.clear(FDIRMISS)) == (2, 2)


def test_a_wrong_hash_is_never_found(ports):
    director = Director(ports[1])
    director.add(FLOW, 3, bucket=FLOW.masked(EVERYTHING).bucket() & 0x7FFF ^ 1)
    assert arrive(ports, packet(FLOW))[0] == 0


def test_order(ports):
    """EtherType and 5-tuple filters come before, RSS after (7.1.2)."""
    _, b = ports
    b.write(MRQC, 1 | 1 << 22)
    for n in range(32):
        b.write(RETA[n], 0x06060606)
    director = Director(b, replace(EVERYTHING, flex=0))
    director.add(FLOW, 3)
    assert arrive(ports, packet(FLOW))[0] == 3
    queue, got = arrive(ports, packet(replace(FLOW, sport=1)))
    assert (queue, got.info & d.RXD_RSS_TYPE_MASK) == (6, d.RXD_RSS_UDP_IPV4)
    five_tuple(b, 5, 4, dport=53)
    assert arrive(ports, packet(FLOW))[0] == 4
    b.write(ETQF[0], ETQF.pack(ETYPE=0x0800, FILTER_EN=1))
    b.write(ETQS[0], ETQS.pack(RX_QUEUE=5, QUEUE_EN=1))
    assert arrive(ports, packet(FLOW))[0] == 5
    assert b.clear(FDIRMATCH) == 1, "it does not see what went before"


def test_a_filter_without_a_queue_marks(ports):
    director = Director(ports[1], replace(EVERYTHING, flex=0))
    director.add(FLOW, 3, QUEUE_EN=0)
    queue, got = arrive(ports, packet(FLOW))
    assert queue == 0 and got.status & d.RXD_STAT_FLM


def test_drop(ports):
    """To the queue that FDIRCTRL.DROP_Q names: where that is off, the packet is dropped and counted."""
    _, b = ports
    director = Director(b, replace(EVERYTHING, flex=0), DROP_Q=127)
    director.add(FLOW, 0, DROP=1)
    assert arrive(ports, packet(FLOW)) is None
    assert b.clear(QPRDC[0]) == 1
    director = Director(b, replace(EVERYTHING, flex=0), DROP_Q=7)
    director.add(FLOW, 0, DROP=1)
    queue, got = arrive(ports, packet(FLOW))
    assert queue == 7 and got.status & d.RXD_ERR_FDIR_DROP


@pytest.mark.parametrize("perfect", [True, False])
def test_report(ports, perfect):
    mask = replace(EVERYTHING, flex=0)
    director = Director(ports[1], mask, perfect=perfect, REPORT_STATUS=1)
    director.add(FLOW, 3, 0x1234)
    _, got = arrive(ports, packet(FLOW))
    assert got.info & d.RXD_RSS_TYPE_MASK == d.RXD_RSS_DIRECTOR
    bits = 0x7FF if perfect else 0x1FFF
    expected = 0x1234 if perfect else FLOW.signature()
    assert got.rss_hash == (FLOW.bucket() & bits) << 16 | expected
    _, got = arrive(ports, packet(replace(FLOW, dport=1)))
    assert got.info & d.RXD_RSS_TYPE_MASK == d.RXD_RSS_NONE


@pytest.mark.parametrize(("memory", "perfect", "most"), [(1, True, 2046), (1, False, 8190), (2, True, 4094)])
def test_full(ports, memory, perfect, most):
    _, b = ports
    director = Director(b, replace(EVERYTHING, flex=0), memory, perfect, FULL_THRESH=4)
    assert FDIRFREE.FREE.extract(b.read(FDIRFREE)) == most
    for n in range(most + 3):
        # Software may put a filter into any bucket: one each is quick.
        b.write(FDIRCMD, 0)
        director.add(Tuple("10.0.0.1", f"10.1.{n >> 8}.{n & 255}", kind=1), 1, n & 0x7FFF, bucket=n & 0x7FF)
    assert FDIRFREE.FREE.extract(b.read(FDIRFREE)) == most - b.engine.directed == 0
    assert FDIRUSTAT.ADD.extract(b.clear(FDIRUSTAT)) == most
    assert FDIRFSTAT.FADD.extract(b.clear(FDIRFSTAT)) == 3


def test_memory_comes_from_the_packet_buffer(ports):
    """7.1.2.7: 64 to 256 KB of the 512, whatever RXPBSIZE says."""
    a, b = ports

    def held():
        b.write(0x08D00, 2)  # SECRXCTRL.RX_DIS: what comes stays in the packet buffer
        for _ in range(200):
            a.tx[0].send(frame(1514))
            a.step()
        b.write(0x08D00, 0)
        fit = 0
        while b.step():
            fit += sum(len(queue.take()) for queue in b.rx.values())
        a.step(9)
        b.step(9)
        return fit

    a.engine.unplug()
    from dataplane.pmd.model.wire.port import PortWire

    PortWire(a.engine, b.engine, elastic=False)
    b.write(RXPBSIZE[0], 384 << 10)
    assert held() == 200
    Director(b, memory=3)
    assert 150 < held() < 180


def test_update_and_collision(ports):
    _, b = ports
    director = Director(b, replace(EVERYTHING, flex=0))
    director.add(FLOW, 3, 7)
    director.add(FLOW, 4, 7)
    queue, got = arrive(ports, packet(FLOW))
    assert queue == 3 and got.status & d.RXD_ERR_FDIR_COLL
    assert FDIRFREE.COLL.extract(b.read(FDIRFREE)) == 1
    director.add(FLOW, 5, 7, UPDATE=1)
    assert arrive(ports, packet(FLOW))[0] == 5
    assert b.engine.directed == 1


def test_query_and_remove(ports):
    _, b = ports
    director = Director(b, replace(EVERYTHING, flex=0))
    other = replace(FLOW, src="10.9.9.9")
    for n in range(3):
        director.add(FLOW if n == 1 else replace(FLOW, sport=n), 2 + n, n, bucket=FLOW.bucket() & 0x7FF)
    assert FDIRLEN.MAXLEN.extract(b.clear(FDIRLEN)) == 2
    told = director.query(FLOW, 1)
    assert (FDIRCMD.VALID.extract(told), FDIRCMD.RX_QUEUE.extract(told), FDIRCMD.L4TYPE.extract(told)) == (
        1,
        3,
        1,
    )
    assert not FDIRCMD.VALID.extract(director.query(other))
    assert director.remove(FLOW, 1)
    assert arrive(ports, packet(FLOW))[0] == 0
    assert not director.remove(FLOW, 1)
    assert (
        FDIRUSTAT.REMOVE.extract(b.clear(FDIRUSTAT)) == 1
        and FDIRFSTAT.FREMOVE.extract(b.clear(FDIRFSTAT)) == 1
    )
    assert b.engine.directed == 2


def test_a_long_list_is_flagged(ports):
    director = Director(ports[1], replace(EVERYTHING, flex=0), MAX_LENGTH=1)
    for n in range(3):
        director.add(FLOW if n == 2 else replace(FLOW, sport=n), 3, n, bucket=FLOW.bucket() & 0x7FF)
    assert arrive(ports, packet(FLOW))[1].status & d.RXD_ERR_FDIR_LEN


def test_control_written_anew_empties_it(ports):
    _, b = ports
    director = Director(b)
    director.add(FLOW, 3)
    Director(b)
    assert b.engine.directed == 0
    director.add(FLOW, 3)
    b.write(FDIRCTRL, 0)
    assert arrive(ports, packet(FLOW))[0] == 0


def test_who_waits_is_counted_once(ports):
    a, b = ports
    director = Director(b, replace(EVERYTHING, flex=0))
    director.add(FLOW, 3)
    for _ in range(9):
        a.tx[0].send(packet(FLOW))
    a.step()
    b.step(20)
    assert b.clear(FDIRMATCH) == 8
    assert len(b.rx[3].take()) == 7
    b.step()
    assert len(b.rx[3].take()) == 2
    assert b.clear(FDIRMATCH) == 1
