# SPDX-License-Identifier: BSD-3-Clause
"""Packets that the chip merges (RSC): options, the chip's set-up, and chains from any descriptors."""

import ctypes
import random

import pytest
from fakenic import FakeFunction
from hypothesis import given, settings
from hypothesis import strategies as st
from modelrig import pair
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from dataplane import pmd
from dataplane.byhand import receive, receive_packets, send
from dataplane.errors import ConfigError
from dataplane.mempool import Mempool
from dataplane.pmd.datasheet import EITR, IVAR, RDBAH, RDBAL, RFCTL, RSCCTL
from dataplane.pmd.datasheet.descriptors import RxRead, RxWriteback
from dataplane.pmd.ixgbe.pf import IxgbePort
from dataplane.pmd.portstring import PortString
from tests.pmd.model.merging import stream
from tests.pmd.model.tcp_streams import FLOWS, Sender, actions, joined, parsed

LRO = ",lro=on,promiscuous=on"
COUNTS = ("rx_lro_merged_packets", "rx_lro_packets", "rx_lro_errors")


def counts(port):
    found = port.xstats()
    return tuple(found[name] for name in COUNTS)


def carry(p, frames):
    """Send them from left to right; what arrives, the last of it when its time is over."""
    got = p.cross(frames)
    if not p.threaded:
        p.card.sleep(3e-4)
    return got + [frame for n in range(p.right.rx_queues) for frame in receive(p.right.rx(n))]


# ---- on the model -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threaded", [False, True], ids=["stepped", "threaded"])
def test_a_stream_arrives_in_large_packets(threaded):
    with pair(LRO, threaded=threaded) as p:
        p.start()
        sent = [bytes(packet) for packet in stream(200, 1400)]
        got = carry(p, sent)
        assert joined(parsed(got)) == joined(parsed(sent))
        merged, into, errors = counts(p.right)
        assert errors == 0 and merged > 100 and len(got) == 200 - merged + into
        assert p.right.xstats()["rx_good_packets"] == 200


@pytest.mark.timeout(300)
@settings(max_examples=25, deadline=None)
@given(
    st.lists(actions, min_size=1, max_size=40),
    st.lists(st.booleans(), min_size=FLOWS, max_size=FLOWS),
    st.sampled_from([(1024, 24), (2048, 24), (2048, 512), (16384, 64)]),
)
def test_any_traffic(steps, stamped, shape):
    """Byte for byte, whatever comes in between; every mbuf is back at the end."""
    data_room, ring = shape
    with pair(f"{LRO},rx_desc={ring}", n=1200, data_room=data_room) as p:
        p.start()
        sender, sent, got = Sender(stamped, [None] * FLOWS), [], []
        for action in steps:
            frames = sender.frames(action)
            assert send(p.left.tx(0), frames) == len(frames)
            sent += frames
            p.step(1)
            if action.pause:
                p.card.sleep(action.pause * 1e-6)
                got += receive(p.right.rx(0), 32)
        for _ in range(60):
            p.card.sleep(2e-4)
            got += receive(p.right.rx(0), 32)
        assert joined(parsed(got)) == joined(parsed(sent))
        merged, into, errors = counts(p.right)
        assert len(got) == len(sent) - merged + into and errors == 0


def test_with_several_queues():
    with pair(f"{LRO},rx_desc=128") as p:
        p.start(4)
        rows = zip(*(stream(20, 1000, flow=flow) for flow in range(8)), strict=True)
        sent = [bytes(packet) for row in rows for packet in row]
        got = carry(p, sent)
        assert joined(parsed(got)) == joined(parsed(sent))
        assert counts(p.right)[0] > 80


def test_tags_are_stripped_from_merged_packets():
    with pair(f"{LRO},vlan_strip=on") as p:
        p.start()
        send(p.left.tx(0), [bytes(packet) for packet in stream(4, vid=9)])
        p.card.sleep(5e-4)
        (packet,) = receive_packets(p.right.rx(0))
        assert packet.vlan_tci == 9 and packet.segments == 2
        got = Ether(packet.data)
        assert got[IP].len == 4040 and len(packet.data) == 4054 and got[TCP].seq == 1


def test_what_is_open_when_the_port_stops_goes_back_to_the_pool():
    with pair(LRO) as p:
        p.start()
        send(p.left.tx(0), [bytes(packet) for packet in stream(6)])
        p.step(2)
        assert receive(p.right.rx(0)) == []
        p.right.stop()
        assert p.right.rx(0).armed == 0


def test_off_nothing_is_merged_and_nothing_is_counted():
    with pair(",promiscuous=on") as p:
        p.start()
        sent = [bytes(packet) for packet in stream(20)]
        assert p.cross(sent) == sent
        assert not set(COUNTS) & set(p.right.xstats())
        assert p.right.bar.get(RFCTL.RSC_DIS) == 1 and p.right.bar[RSCCTL[0]] == 0


@pytest.mark.parametrize(
    ("data_room", "size", "maxdesc"),
    [
        (2048, 65535, 3),
        (2048, 32767, 2),
        (4096, 65535, 2),
        (16384, 65535, 0),
        (1024, 1024, 0),
        (1024, 16384, 3),
    ],
)
def test_whole_buffers_count(data_room, size, maxdesc):
    with pair(f"{LRO},rx_desc=128,max_lro_pkt_size={size}", n=1200, data_room=data_room) as p:
        p.start(2)
        bar = p.right.bar
        for queue in range(2):
            assert RSCCTL[queue].unpack(bar[RSCCTL[queue]]) == {"RSCEN": 1, "TS_DIS": 0, "MAXDESC": maxdesc}
        assert bar.get(IVAR[0].RX0_VALID) == bar.get(IVAR[0].RX1_VALID) == 1
        assert bar.get(EITR[0].INTERVAL) == 48 and bar.get(RFCTL.RSC_DIS) == 0
        sent = [bytes(packet) for packet in stream(60, 1000)]
        got = carry(p, sent)
        assert joined(parsed(got)) == joined(parsed(sent))
        assert max(map(len, got)) <= max(size, 1054)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (",lro=on,vfs=2", "merges no packets while it has pools.*leave one of them out"),
        (",max_lro_pkt_size=9000", "add lro=on"),
        (",lro=on,max_lro_pkt_size=0", "from one Rx buffer to 65535 bytes"),
        (",lro=on,max_lro_pkt_size=65536", "from one Rx buffer to 65535 bytes"),
        (",lro=maybe", "on or off"),
    ],
)
def test_options_that_are_refused(options, said):
    with pytest.raises(ConfigError, match=said) as caught:
        pmd.probe(f"model0{options}")
    assert len(str(caught.value)) < 200


def test_a_vf_is_refused():
    with pmd.probe("model0,vfs=1"):
        with pytest.raises(ConfigError, match=r"a VF is one.*leave it out") as caught:
            pmd.probe("model0.vf0,lro=on,pf_wait=0")
        assert len(str(caught.value)) < 200


def test_sizes_that_a_start_refuses():
    with pair(f"{LRO},max_lro_pkt_size=2047") as p:
        p.right.rx(0)
        with pytest.raises(ConfigError, match="must be at least 2048, one Rx buffer"):
            p.right.start()
    with pair(f"{LRO},rx_desc=16") as p:
        p.right.rx(0)
        with pytest.raises(
            ConfigError, match=r"longest packet takes 16 buffers .* rx_desc=24 is the smallest"
        ):
            p.right.start()


# ---- descriptors by hand ------------------------------------------------------------------------------------------


@pytest.fixture
def rig():
    """A running port on a NIC that does what the test says; every mbuf must be back at the end."""
    nic, pool = FakeFunction(), Mempool(512, hugepages="no", debug=True)
    port = IxgbePort(nic, PortString.split_options("fake0", "", "fake0", ",lro=on,rx_desc=64"))
    port.configure(mempool=pool)
    port.rx(0)
    port.start()
    yield port, nic
    port.close()
    assert pool.available == pool.n
    pool.check()


def put(nic, at, data, *, then=None, count=0, last=False, error=0):
    """Descriptor `at` gets its buffer's bytes and is written back."""
    bar = nic.registers
    where = nic.host(bar[RDBAL[0].offset] | bar[RDBAH[0].offset] << 32) + 16 * at
    ctypes.memmove(nic.host(RxRead.unpack(ctypes.string_at(where, 16)).packet), data, len(data))
    status = 1 | (2 | error if last else (then or 0) << 4)
    ctypes.memmove(where, RxWriteback(status=status, length=len(data), rsc_count=count).pack(), 16)


def test_chains_in_any_order(rig):
    """Each packet's buffers are anywhere behind the one before; a later descriptor is done before an earlier one."""
    port, nic = rig
    chance = random.Random(1)
    for lap in range(30):
        base, got = lap * 40, []
        slots, chains = list(range(40)), []
        chance.shuffle(slots)
        while slots:
            n = chance.randrange(1, 9)
            chains.append(sorted(slots[:n]))
            del slots[:n]
        pieces = {slot: chance.randbytes(chance.randrange(1, 2049)) for slot in range(40)}
        order = [(slot, chain) for chain in chains for slot in chain]
        chance.shuffle(order)
        for slot, chain in order:
            place = chain.index(slot)
            after = (base + chain[place + 1]) % 64 if place + 1 < len(chain) else None
            put(nic, (base + slot) % 64, pieces[slot], then=after, count=2, last=after is None)
            if chance.random() < 0.2:
                got += receive(port.rx(0), 3)
        while new := receive(port.rx(0), 7):
            got += new
        expected = sorted(chains, key=lambda chain: chain[-1])
        assert got == [b"".join(pieces[slot] for slot in chain) for chain in expected]
    merged, into, errors = counts(port)
    assert errors == 0 and merged > into > 0


def test_a_long_packet_that_was_not_merged_goes_on_in_the_next_descriptor(rig):
    port, nic = rig
    put(nic, 0, b"a" * 2048, then=9)  # RSCCNT 0: the bits say nothing
    put(nic, 1, b"b" * 100, last=True)
    assert receive(port.rx(0)) == [b"a" * 2048 + b"b" * 100]
    assert counts(port) == (0, 0, 0)


@pytest.mark.parametrize("then", [64, 65535, 0])
def test_a_nextp_that_leads_nowhere_is_counted(rig, then):
    port, nic = rig
    put(nic, 0, b"a" * 2048, then=then, count=2)
    put(nic, 1, b"whole", count=0, last=True)
    assert receive(port.rx(0)) == [b"whole"]
    assert counts(port) == (0, 0, 1)


def test_two_packets_that_want_one_descriptor(rig):
    port, nic = rig
    put(nic, 0, b"first", then=2, count=2)
    put(nic, 1, b"second", then=2, count=2)
    put(nic, 2, b" goes on", count=2, last=True)
    assert receive(port.rx(0)) == [b"first goes on"]
    assert counts(port) == (2, 1, 1)


def test_what_never_ends_is_given_back(rig):
    port, nic = rig
    put(nic, 0, b"a" * 2048, then=5, count=3)
    assert receive(port.rx(0)) == []
