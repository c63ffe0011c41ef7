# SPDX-License-Identifier: BSD-3-Clause
"""null: endless packets from nowhere, and nowhere for packets to go."""

import pytest

from dataplane.byhand import Held, receive, receive_packets, send
from dataplane.errors import ConfigError
from dataplane.mempool import Mempool
from dataplane.pmd import probe
from tests.pmd.port_contract import PortLife, Rig, frames, opened


@pytest.fixture
def rig():
    for port in opened(probe("null:")):
        yield Rig(port)


class TestContract(PortLife):
    pass


@pytest.fixture
def open_null():
    ports = []

    def start(options="", **config):
        port = probe(f"null:{options}").configure(**config)
        ports.append(port)
        port.rx(), port.tx()
        port.start()
        return port

    yield start
    for port in ports:
        port.close()
        assert port.mempool.in_use == 0


@pytest.mark.parametrize("size", [14, 64, 1514, 2048, 2049, 9000, 16384])
def test_packets_never_end_and_have_their_size(open_null, size):
    port = open_null(f"size={size},zero=on")
    for _ in range(10):
        assert receive(port.rx(), 32) == [bytes(size)] * 32
    stats = port.xstats()
    assert (stats["rx_good_packets"], stats["rx_good_bytes"]) == (320, 320 * size)
    packet = receive_packets(port.rx(), 1)[0]
    assert (packet.segments, packet.ol_flags, packet.vlan_tci, packet.timestamp_ns) == (1, 0, 0, None)


def test_without_zero_a_frame_holds_what_its_buffer_held(open_null):
    port = open_null("size=60", mempool=Mempool(1))
    assert send(port.tx(), [b"x" * 60]) == 1
    assert receive(port.rx(), 1) == [b"x" * 60]


def test_it_forgets_what_it_is_given(open_null):
    port = open_null()
    sent = frames(50)
    assert send(port.tx(), sent) == 50
    assert send(port.tx(), sent, segment=100) == 50
    stats = port.xstats()
    assert (stats["tx_good_packets"], stats["tx_q0_bytes"]) == (100, 2 * sum(map(len, sent)))
    assert port.mempool.in_use == 0


def test_packets_of_other_pools_go_home(open_null):
    port, other = open_null(), Mempool(64)
    assert send(port.tx(), frames(40), other) == 40
    assert other.in_use == 0


def test_an_almost_empty_pool_gives_what_it_has(open_null):
    port = open_null(mempool=Mempool(100))
    with Held(port.mempool, 95):
        assert len(receive(port.rx(), 32)) == 4  # 32, 16 and 8 are more than there are
    assert port.xstats()["rx_mbuf_allocation_errors"] == 1
    with Held(port.mempool):
        assert receive(port.rx(), 32) == []
    assert len(receive(port.rx(), 32)) == 32


def test_many_queues(open_null):
    port = probe("null:")
    port.rx(3), port.tx(3)
    port.start()
    assert len(receive(port.rx(2), 5)) == 5
    assert port.xstats()["rx_q2_packets"] == 5
    port.close()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("null:size=13", "size=13: must be 14"),
        ("null:size=16385", "size=16385: must be 14"),
        ("null:size=big", "expected an integer"),
        ("null:colour=red", "no option 'colour'"),
        ("null:eth0", "null port has no target"),
    ],
)
def test_what_makes_no_sense_is_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        probe(text)


def test_a_pool_with_too_little_room_is_refused():
    port = probe("null:size=3000").configure(mempool=Mempool(64))
    port.rx()
    with pytest.raises(ConfigError, match=r"3000 bytes do not fit .*larger data_room"):
        port.start()
