# SPDX-License-Identifier: BSD-3-Clause
"""Traffic through driver and strict model: queue counts, ring lengths from 8 to 8192, frames of every size, losses."""

import pytest
from modelrig import frame, pair
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from dataplane.byhand import Held, receive, receive_packets, send
from dataplane.errors import ConfigError, MempoolError
from dataplane.mempool import Mempool
from dataplane.pmd.model.netem.conditions import Netem

COMMON = (
    "broadcast_packets", "size_64_packets", "size_65_to_127_packets", "size_128_to_255_packets", "size_256_to_511_packets",
    "size_512_to_1023_packets", "size_1024_to_max_packets", "total_packets", "good_packets", "good_bytes",
)  # fmt: skip


def both_ends_agree(p):
    sent, got = p.left.xstats(), p.right.xstats()
    for name in COMMON:
        assert sent[f"tx_{name}"] == got[f"rx_{name}"], name
    assert sum(sent[f"tx_q{q}_packets"] for q in range(min(p.left.tx_queues, 16))) == sent["tx_good_packets"]
    assert sum(got[f"rx_q{q}_bytes"] for q in range(min(p.right.rx_queues, 16))) == got["rx_good_bytes"]


@pytest.mark.parametrize("threaded", [False, True], ids=["stepped", "threaded"])
def test_frames_of_every_size_byte_for_byte(threaded):
    with pair(threaded=threaded) as p:
        p.start()
        sent = [frame(n, n) for n in range(60, 1515, 7)] + [frame(n, 60 + n % 5) for n in range(600)]
        assert p.cross(sent) == sent
        both_ends_agree(p)
        assert p.left.xstats()["tx_good_bytes"] == sum(map(len, sent))


def test_both_ways_at_once():
    with pair() as p:
        p.start()
        for n in range(50):
            for port in (p.left, p.right):
                assert send(port.tx(0), [frame(n, 100 + n), frame(n + 1000, 1514)]) == 2
            p.step()
            for port in (p.left, p.right):
                assert receive(port.rx(0)) == [frame(n, 100 + n), frame(n + 1000, 1514)]


@pytest.mark.parametrize(
    ("length", "n"), [(8, 300), (16, 300), (24, 300), (40, 300), (1000, 3000), (8192, 9000)]
)
def test_ring_lengths(length, n):
    with pair(f",rx_desc={length},tx_desc={length}", n=4 * length + 2048) as p:
        p.start()
        sent = [frame(k, 60 + k % 41) for k in range(n)]
        assert p.cross(sent) == sent
        p.left.stop()
        p.left.start()
        p.left.wait_link(1)
        assert p.cross(sent[:50]) == sent[:50]
        both_ends_agree(p)


@pytest.mark.parametrize("length", [0, 4, 12, 100, 8200, 1 << 17])
def test_ring_lengths_that_the_chip_refuses(length):
    with pair() as p:
        for which in ("rx_desc", "tx_desc"):
            with pytest.raises(ConfigError, match="a multiple of 8 from 8 to 8192"):
                p.left.configure(**{which: length})


def flows(n):
    """n UDP frames, each of a flow of its own."""
    return [
        bytes(Ether(dst="ff:ff:ff:ff:ff:ff") / IP(dst=f"10.0.{k >> 8}.{k & 255}") / UDP(sport=k) / bytes(18))
        for k in range(n)
    ]


@pytest.mark.parametrize("queues", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 33, 64])
def test_queue_counts(queues):
    """As many each way; what is sent on every Tx queue arrives, spread over the Rx queues by flow."""
    with pair(",rx_desc=32,tx_desc=32", n=5000) as p:
        p.start(queues)
        sent = flows(max(64, 2 * queues))
        seen: dict[bytes, int] = {}
        for _ in range(2):
            for k, data in enumerate(sent):
                assert send(p.left.tx(k % queues), [data]) == 1
                p.step()
                where = [(n, got) for n in range(queues) for got in receive(p.right.rx(n))]
                assert [got for _, got in where] == [data]
                assert seen.setdefault(data, where[0][0]) == where[0][0], "a flow changed its queue"
        assert set(seen.values()) == set(range(min(queues, 16)))
        both_ends_agree(p)
        for q in range(min(queues, 16)):
            assert p.left.xstats()[f"tx_q{q}_packets"] > 0


def test_128_rx_queues():
    with pair(",rx_desc=8", n=2500) as p:
        p.right.rx(127)
        p.right.tx(0), p.left.tx(0)
        p.right.start(), p.left.start()
        p.right.wait_link(1), p.left.wait_link(1)
        sent = flows(40)
        got = p.cross(sent, rx=[p.right.rx(n) for n in range(128)])
        assert sorted(got) == sorted(sent)
        with pytest.raises(ConfigError, match=r"no Rx queue 128: it has 0\.\.127"):
            p.right.rx(128)
        with pytest.raises(ConfigError, match=r"no Tx queue 64: it has 0\.\.63"):
            p.right.tx(64)


@pytest.mark.parametrize("data_room", [1024, 2048, 4096, 10240, 16384])
def test_jumbo_frames_scattered_and_not(data_room):
    with pair(",mtu=9710,rx_desc=64,tx_desc=64", n=800, data_room=data_room) as p:
        p.start()
        sent = [
            frame(n, size)
            for n, size in enumerate([60, 1024, 1514, 1519, 2048, 2049, 4097, 9000, 9723, 9724] * 4)
        ]
        assert p.cross(sent) == sent
        assert p.cross(sent, segment=700) == sent
        send(p.left.tx(0), [frame(1, 9724)])
        p.step()
        assert receive_packets(p.right.rx(0))[0].segments == -(-9724 // data_room)
        both_ends_agree(p)


def test_frames_above_the_mtu_are_counted_as_oversize():
    with pair(n=2048) as p:
        p.left.mtu = 9710
        for size, mtu in ((1515, 1500), (2015, 2000), (9001 + 14, 9000)):
            p.right.stop()
            p.right.mtu = mtu
            p.start()
            before = p.right.xstats()
            assert p.cross([frame(1, size), frame(2, size - 1)]) == [frame(2, size - 1)]
            after = p.right.xstats()
            assert after["rx_oversize_errors"] - before["rx_oversize_errors"] == 1
            assert after["rx_errors"] - before["rx_errors"] == 1


def test_an_mtu_is_changed_on_a_stopped_port_only():
    with pair() as p:
        p.start()
        with pytest.raises(Exception, match="running: stop it"):
            p.left.mtu = 9000
        with pytest.raises(ConfigError, match=r"must be 68 .* to 9710"):
            p.right.mtu = 9711


def test_corrupted_frames_are_counted():
    with pair(netem=Netem(corrupt=1.0)) as p:
        p.start()
        assert p.cross([frame(n, 200) for n in range(50)]) == []
        stats = p.right.xstats()
        assert stats["rx_crc_errors"] == stats["rx_errors"] == 50
        assert stats["rx_good_packets"] == 0


@pytest.mark.parametrize("drop", ["on", "off"])
def test_what_nobody_takes_is_lost_and_counted(drop):
    """Dropped at the queue, or, when the packet buffer is full, in front of it: both are missed packets."""
    with pair(f",drop_en={drop},rx_desc=64", elastic=False) as p:
        p.start()
        sent = 0
        while sent < 3000:
            sent += send(p.left.tx(0), [frame(n, 1514) for n in range(50)])
            p.step(8)
        got = 0
        while more := len(receive(p.right.rx(0), 32)):
            got += more
            p.step(8)
        stats = p.right.xstats()
        assert got >= 63
        assert stats["rx_missed_errors"] == p.left.xstats()["tx_good_packets"] - got > 0
        assert (stats["rx_q0_errors"] > 0) is (drop == "on")


def test_an_exhausted_mempool_and_recovery():
    with pair(",rx_desc=128,drop_en=on", n=1024) as p:
        mine = Mempool(512, hugepages="no")
        p.start()
        sent = [frame(n) for n in range(400)]
        held = Held(p.pool)
        helds = []
        got = []
        for n in range(0, 400, 20):
            assert send(p.left.tx(0), sent[n : n + 20], mine) == 20
            p.step()
            got += receive(p.right.rx(0))
            helds.append(Held(p.pool))
        stats = p.right.xstats()
        assert stats["rx_mbuf_allocation_errors"] > 0
        assert len(got) == 127 and got == sent[:127]
        assert stats["rx_missed_errors"] == 400 - 127
        for each in (held, *helds):
            each.release()
        receive(p.right.rx(0))
        assert p.cross(sent) == sent
        p.left.stop()


def test_a_pool_too_small_to_start_with():
    with pair(n=100) as p:
        p.left.rx(0)
        with pytest.raises(
            MempoolError, match=r"descriptor ring of 512.*make the pool larger or rx_desc smaller"
        ):
            p.left.start()
        p.left.configure(rx_desc=96)
        p.left.start()


def test_counters_only_grow_and_reset_means_zero():
    with pair() as p:
        p.start()
        last = dict.fromkeys(p.right.xstats(), 0)
        for n in range(12):
            p.cross([frame(k, 200) for k in range(30)])
            if n % 4 == 3:
                p.right.stop()
                p.right.start()
                p.right.wait_link(1)
            now = p.right.xstats()
            assert all(now[name] >= count for name, count in last.items())
            last = now
        assert last["rx_good_packets"] == 360 and last["rx_total_bytes"] == 360 * 204
        p.right.reset_xstats()
        assert not any(p.right.xstats().values())
        p.cross([frame(1)])
        assert p.right.xstats()["rx_good_packets"] == 1


def test_counters_beyond_32_and_36_bits():
    """The chip's counters stand close to their ends; the totals go on."""
    from dataplane.pmd.datasheet import GORCH, GORCL, GPRC, QBRC_H, QBRC_L, QPRC, TPR

    with pair() as p:
        p.start()
        chip = p.card.ports[1]
        for _ in range(3):
            for register, value in (
                (GORCL, 0xFFFF_FFF0),
                (GORCH, 0xF),
                (QBRC_L[0], 0xFFFF_FF00),
                (QBRC_H[0], 0xE),
            ):
                chip.poke(register.offset, value)
            for register in (GPRC, QPRC[0], TPR):
                chip.poke(register.offset, 0xFFFF_FF00)
            p.cross([frame(n, 100) for n in range(10)])
            stats = p.right.xstats()
        assert stats["rx_good_packets"] == 3 * (0xFFFF_FF00 + 10) > 1 << 33
        assert stats["rx_good_bytes"] == 3 * (0xE_FFFF_FF00 + 1000) > 1 << 36
