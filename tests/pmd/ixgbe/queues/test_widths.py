# SPDX-License-Identifier: BSD-3-Clause
"""The queues with kernels of every width: bursts of usual and odd packets, many times round rings of every shape."""

import random

import pytest
from fakenic import FakeFunction

from dataplane.byhand import Offload, receive_packets, send
from dataplane.errors import ConfigError
from dataplane.mempool import Mempool
from dataplane.pmd.datasheet import descriptors as d
from dataplane.pmd.ixgbe.pf import IxgbePort
from dataplane.pmd.ixgbe.queues.kernels import widths
from dataplane.pmd.portstring import PortString

WIDTHS = widths()
UDP4 = Offload("ip udp ipv4 vlan", vlan_tci=7)


@pytest.fixture(params=WIDTHS)
def rig(request):
    """make(options) gives (port, NIC, chance) with kernels of one width; every mbuf must be back at the end."""
    made = []

    def make(options):
        options += f",simd={request.param}"
        function, pool = FakeFunction(), Mempool(2048, hugepages="no", debug=True)
        port = IxgbePort(function, PortString.split_options(f"fake0{options}", "", "fake0", options))
        port.configure(mempool=pool)
        port.rx(0), port.tx(0)
        port.start()
        made.append((port, pool))
        return port, function, random.Random(options)

    yield make
    for port, pool in made:
        port.close()
        assert pool.available == pool.n
        pool.check()


@pytest.mark.parametrize("length", [8, 24, 104, 512])
def test_receive(rig, length):
    port, nic, chance = rig(f",rx_desc={length},mtu=9000")
    sent, seen = [], []
    while len(seen) < 4 * length + 200:
        for _ in range(chance.randrange(80)):
            # Seldom one of several buffers.
            size = chance.randrange(17, 2048) if chance.random() < 0.97 else chance.randrange(2049, 5000)
            told = {"rss_hash": chance.getrandbits(32), "rss_type": chance.randrange(1, 10)}
            told["status"] = d.RXD_STAT_IPCS | chance.choice([0, d.RXD_ERR_IPE])
            data = chance.randbytes(size)
            if not nic.receive(data, **told):
                break
            flags = 0x14 if told["status"] & d.RXD_ERR_IPE else 0xC
            sent.append((data, told["rss_hash"], flags))
        seen += receive_packets(port.rx(0), chance.randrange(1, 100))
    assert [(p.data, p.rss_hash, p.ol_flags) for p in seen] == sent[: len(seen)]


@pytest.mark.parametrize("length", [8, 24, 104, 512])
def test_transmit(rig, length):
    port, nic, chance = rig(f",tx_desc={length}")
    other = Mempool(2048, hugepages="no", debug=True)
    expected, sent, errors = [], [], 0
    while len(sent) < 4 * length + 200:
        pool, offload = chance.choice([port.mempool, other]), chance.choice([None, None, UDP4])
        segment = chance.choice([0, 0, 0, 40])
        shortest = 14 if offload is None else 42
        frames = [chance.randbytes(chance.randrange(shortest, 130)) for _ in range(chance.randrange(1, 60))]
        if chance.random() < 0.3:
            frames[chance.randrange(len(frames))] = bytes(chance.choice([9, 1600]))
        took = send(port.tx(0), frames, pool, segment=segment, offload=offload)
        for data in frames[:took]:
            if not 14 <= len(data) <= 1514:
                errors += 1
            else:
                expected.append((data.ljust(17, b"\0"), offload is not None))
        sent += nic.transmit(chance.randrange(1, 200))
    sent += nic.transmit()
    assert [(data, context is not None) for data, _, context in sent] == expected
    assert all(context is None or context.vlan == 7 for _, _, context in sent)
    assert errors and port.xstats()["tx_errors"] == errors
    port.stop()
    assert other.available == other.n
    other.check()


def test_a_packet_shorter_than_the_headers_to_be_summed_is_not_sent(rig):
    port, nic, _ = rig("")
    for _ in range(2):
        frames = [bytes(60)] * 5 + [bytes(41)] + [bytes(42)] * 5
        assert send(port.tx(0), frames, offload=UDP4) == 11
        assert [len(data) for data, _, _ in nic.transmit()] == [60] * 5 + [42] * 5
    assert port.xstats()["tx_errors"] == 2


def test_what_this_cpu_has_not(rig):
    with pytest.raises(ConfigError, match="simd=mmx: expected one of auto, scalar"):
        IxgbePort(FakeFunction(), PortString.split_options("f,simd=mmx", "", "f", ",simd=mmx"))
