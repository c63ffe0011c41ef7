# SPDX-License-Identifier: BSD-3-Clause
"""The hot loops against descriptors written by hand: every ring shape, several segments, offloads, exhausted pools."""

import ctypes
import random
from contextlib import ExitStack

import pytest
from fakenic import FakeFunction

from dataplane.byhand import Held, receive, receive_packets, send
from dataplane.errors import DeviceGone
from dataplane.mempool import Mempool
from dataplane.pmd.datasheet import RDH, RDT
from dataplane.pmd.datasheet import descriptors as d
from dataplane.pmd.ixgbe.pf import IxgbePort
from dataplane.pmd.portstring import PortString

LENGTHS = (8, 16, 24, 64, 72, 104, 128, 136, 512, 520)


def frame(number: int, size: int = 60) -> bytes:
    return random.Random(number).randbytes(size)


@pytest.fixture
def rig():
    """make(options, **pool) gives a running port with one queue each way and its NIC; every mbuf must be back at the end."""
    made = []

    def make(options="", n=1024, **more):
        function = FakeFunction()
        pool = Mempool(n, hugepages="no", debug=True, **more)
        port = IxgbePort(function, PortString.split_options(f"fake0{options}", "", "fake0", options))
        port.configure(mempool=pool)
        port.rx(0), port.tx(0)
        port.start()
        made.append((port, pool))
        return port, function

    yield make
    for port, pool in made:
        port.close()
        assert pool.available == pool.n
        pool.check()


@pytest.mark.parametrize("length", LENGTHS)
def test_rx_many_times_round_the_ring(rig, length):
    port, nic = rig(f",rx_desc={length}")
    sent = seen = 0
    chance = random.Random(length)
    while seen < 3 * length + 100:
        for _ in range(chance.randrange(length + 3)):
            if nic.receive(frame(sent)):
                sent += 1
        for got in receive(port.rx(0), chance.randrange(1, 65)):
            assert got == frame(seen)
            seen += 1
        given = (nic.registers[RDT[0].offset] - nic.registers[RDH[0].offset]) % length
        assert given <= length - 1
    assert sent >= seen


def test_all_descriptors_but_one_are_given(rig):
    port, nic = rig(",rx_desc=64")
    assert sum(nic.receive(frame(n)) for n in range(100)) == 63
    assert len(receive(port.rx(0), 32) + receive(port.rx(0), 32)) == 63
    assert sum(nic.receive(frame(n)) for n in range(100)) >= 63 - 16


@pytest.mark.parametrize("length", LENGTHS)
def test_tx_many_times_round_the_ring(rig, length):
    port, nic = rig(f",tx_desc={length}", n=2048)
    chance = random.Random(length)
    taken, sent = 0, []
    while len(sent) < 3 * length + 100:
        for _ in range(chance.randrange(length + 3)):
            taken += send(
                port.tx(0), [frame(taken, chance.randrange(17, 200))], segment=chance.choice([0, 0, 0, 50])
            )
        assert port.tx(0).held <= length - 1
        sent += nic.transmit(chance.randrange(1, length))
    sent += nic.transmit()
    assert len(sent) == taken
    for n, (data, descriptor, _) in enumerate(sent):
        assert data == frame(n, len(data))
        assert descriptor.total == len(data)
    assert port.xstats()["tx_errors"] == 0


def test_tx_takes_what_fits_and_leaves_the_rest(rig):
    port, nic = rig(",tx_desc=64")
    assert send(port.tx(0), [frame(n) for n in range(100)]) == 63
    assert port.mempool.in_use == 63 + port.rx_desc
    assert len(nic.transmit()) == 63
    assert send(port.tx(0), [frame(n) for n in range(100)]) >= 48


def test_done_packets_go_back_at_the_next_burst(rig):
    port, nic = rig()
    send(port.tx(0), [frame(n) for n in range(64)])
    nic.transmit()
    send(port.tx(0), [frame(1)])
    assert port.tx(0).held == 1


def test_mbufs_of_several_pools_go_home(rig):
    port, nic = rig()
    pools = [Mempool(256, hugepages="no", debug=True) for _ in range(3)]
    for n in range(500):
        assert send(port.tx(0), [frame(n)], pools[n * n % 3]) == 1
        if n % 7 == 0:
            nic.transmit()
    port.stop()
    for pool in pools:
        assert pool.available == pool.n
        pool.check()
    port.start()


@pytest.mark.parametrize("size", [2047, 2048, 2049, 4096, 4097, 9710 + 14])
def test_a_packet_of_several_buffers(rig, size):
    port, nic = rig(",mtu=9710,rx_desc=64")
    for n in range(200):
        assert nic.receive(frame(n, size))
        (got,) = receive_packets(port.rx(0))
        assert got.data == frame(n, size)
        assert got.segments == -(-size // 2048)


def test_a_packet_whose_buffers_come_one_by_one(rig):
    port, nic = rig(",mtu=9710")
    data = frame(1, 9000)
    assert nic.receive(data, rss_hash=7, rss_type=1, status=d.RXD_STAT_IPCS)
    # As the chip may write back: DD of the last ones later.
    base = nic.host(nic.registers[0x1000] | nic.registers[0x1004] << 32)
    words = [ctypes.c_uint32.from_address(base + 16 * n + 8) for n in range(5)]
    saved = [word.value for word in words]
    for word in words[1:]:
        word.value &= ~1
    assert receive(port.rx(0)) == []
    for word, value in zip(words[1:-1], saved[1:-1], strict=True):
        word.value = value
        assert receive(port.rx(0)) == []
    words[-1].value = saved[-1]
    (got,) = receive_packets(port.rx(0))
    assert got.data == data and got.segments == 5 and got.rss_hash == 7
    assert nic.receive(data)
    words[0].value = 1  # half a packet when the port stops: the rig's fixture sees that its mbufs come back


@pytest.mark.parametrize("kib", [1, 2, 4, 9, 16])
def test_data_rooms(rig, kib):
    port, nic = rig(",mtu=9710,rx_desc=16", n=128, data_room=kib << 10)
    data = frame(3, 9000)
    assert nic.receive(data, buffer=kib << 10)
    (got,) = receive_packets(port.rx(0))
    assert got.data == data and got.segments == -(-9000 // (kib << 10))


RX_VLAN, RX_STRIPPED, RX_RSS, IP_GOOD, IP_BAD, L4_GOOD, L4_BAD = (1 << n for n in range(7))


@pytest.mark.parametrize(
    ("fields", "flags"),
    [
        ({}, 0),
        ({"status": d.RXD_STAT_IPCS}, IP_GOOD),
        ({"status": d.RXD_STAT_IPCS | d.RXD_ERR_IPE}, IP_BAD),
        ({"status": d.RXD_STAT_IPCS | d.RXD_STAT_L4CS, "packet_type": d.RXD_PTYPE_TCP}, IP_GOOD | L4_GOOD),
        ({"status": d.RXD_STAT_L4CS | d.RXD_ERR_L4E, "packet_type": d.RXD_PTYPE_TCP}, L4_BAD),
        ({"status": d.RXD_STAT_L4CS | d.RXD_ERR_L4E, "packet_type": d.RXD_PTYPE_UDP}, 0),
        ({"status": d.RXD_STAT_L4CS, "packet_type": d.RXD_PTYPE_UDP}, L4_GOOD),
        ({"status": d.RXD_ERR_IPE | d.RXD_ERR_L4E}, 0),
        ({"rss_type": 9, "rss_hash": 0xDEADBEEF}, RX_RSS),
        ({"status": d.RXD_STAT_VP, "vlan": 0xF123}, RX_VLAN | RX_STRIPPED),
    ],
)
def test_what_a_descriptor_says_is_in_the_mbuf(rig, fields, flags):
    port, nic = rig(",vlan_strip=on")
    nic.receive(frame(1), **fields)
    (got,) = receive_packets(port.rx(0))
    assert got.ol_flags == flags
    assert got.port == port.number
    assert got.packet_type == fields.get("packet_type", 0) >> 4
    assert got.rss_hash == fields.get("rss_hash", 0) and got.vlan_tci == fields.get("vlan", 0)


def test_an_unstripped_tag_is_not_reported(rig):
    port, nic = rig()
    nic.receive(frame(1), status=d.RXD_STAT_VP)
    assert receive_packets(port.rx(0))[0].ol_flags == 0


def test_an_exhausted_pool_is_counted_and_got_over(rig):
    port, nic = rig(",rx_desc=64", n=200)
    with ExitStack() as stack:
        assert sum(nic.receive(frame(n)) for n in range(100)) == 63
        got = []
        for _ in range(5):
            stack.enter_context(Held(port.mempool))  # also what the poll before has freed
            got += receive(port.rx(0))
        assert got == [frame(n) for n in range(63)]
        assert port.rx(0).armed == 1 and not nic.receive(frame(0))
        failures = port.xstats()["rx_mbuf_allocation_errors"]
        assert failures >= 4
        assert receive(port.rx(0)) == []
        assert port.xstats()["rx_mbuf_allocation_errors"] > failures
    assert receive(port.rx(0)) == []
    assert port.rx(0).armed > 48
    assert nic.receive(frame(5))
    assert receive(port.rx(0)) == [frame(5)]


def test_a_pool_with_a_few_left_lets_packets_in(rig):
    port, nic = rig(",rx_desc=64", n=70)
    held = Held(port.mempool, 3)  # 3 of 6 are left: less than a batch of 16
    for n in range(300):
        assert nic.receive(frame(n))
        assert receive(port.rx(0)) == [frame(n)]
    held.release()


def test_descriptors_without_a_buffer_are_not_looked_at(rig):
    """They still say DD from the last time round, and no packet is behind them."""
    port, nic = rig(",rx_desc=64", n=200)
    held = []
    assert sum(nic.receive(frame(n)) for n in range(63)) == 63
    for _ in range(5):
        held += port.mempool.take(port.mempool.available)
        receive(port.rx(0))
    held += port.mempool.take(port.mempool.available)
    for few in range(1, 32):
        assert port.rx(0).armed == few
        port.mempool.give(held[-1:])
        held.pop()
        assert receive(port.rx(0)) == [] and port.rx(0).armed == few + 1
        assert receive(port.rx(0)) == []
    assert sum(nic.receive(frame(n)) for n in range(63)) == 31
    assert receive(port.rx(0), 64) == [frame(n) for n in range(31)]
    port.mempool.give(held)


@pytest.mark.parametrize("size", [0, 13, 1515, 10000])
def test_what_the_chip_cannot_send_is_counted(rig, size):
    port, nic = rig()
    assert send(port.tx(0), [frame(1, size), frame(2)]) == 2
    assert [data for data, _, _ in nic.transmit()] == [frame(2)]
    assert port.xstats()["tx_errors"] == 1


@pytest.mark.parametrize("size", [14, 15, 16])
def test_frames_below_17_bytes_are_padded(rig, size):
    port, nic = rig()
    assert send(port.tx(0), [frame(1, size)]) == 1
    assert [data for data, _, _ in nic.transmit()] == [frame(1, size) + bytes(17 - size)]


def test_too_many_segments(rig):
    port, nic = rig(n=2048)
    assert send(port.tx(0), [frame(1, 1000)], segment=24) == 1  # 42 of them
    assert nic.transmit() == [] and port.xstats()["tx_errors"] == 1
    assert send(port.tx(0), [frame(1, 1000)], segment=25) == 1
    assert nic.transmit()[0][0] == frame(1, 1000)


def test_a_device_that_vanished_is_noticed_by_the_polls(rig):
    port, nic = rig()
    nic.registers.unplug()
    with pytest.raises(DeviceGone, match=r"rx\(0\): .* is gone: its registers"):
        for _ in range(70000):
            receive(port.rx(0))


def test_a_device_that_vanished_is_noticed_by_sending(rig):
    port, nic = rig(",tx_desc=8")
    nic.registers.unplug()
    with pytest.raises(DeviceGone, match=r"tx\(0\): .* is gone: its registers"):
        for _ in range(70000):
            send(port.tx(0), [frame(1)])


def test_a_stopped_port_is_polled_in_vain(rig):
    port, _ = rig()
    port.stop()
    assert receive(port.rx(0)) == []
    assert send(port.tx(0), [frame(1)]) == 0


@pytest.mark.parametrize(
    ("kind", "longest"), [("88b5", 1514), ("81000001", 1518), ("88a80001810000020800", 1522), ("8100", 1518)]
)
def test_tags_may_make_a_frame_longer(rig, kind, longest):
    port, nic = rig()
    head = bytes(12) + bytes.fromhex(kind)
    for size in (longest, longest + 1):
        assert send(port.tx(0), [head + bytes(size - len(head))]) == 1
    assert [len(data) for data, _, _ in nic.transmit()] == [longest]
    assert port.xstats()["tx_errors"] == 1
