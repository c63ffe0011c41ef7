# SPDX-License-Identifier: BSD-3-Clause
"""RSS on the strict model: the published hashes in the mbuf, key, table and types as verbs, and what VFs see of them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from modelrig import Pair, pair
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from dataplane import App, Pipeline
from dataplane.apps import Sink
from dataplane.byhand import ReceivedPacket, receive_packets, send
from dataplane.errors import ConfigError, PortError
from dataplane.pmd.ixgbe.errors import MailboxRefused
from dataplane.pmd.ixgbe.steering.rss import DEFAULT_KEY, DEFAULT_TYPES, HASH_TYPES, SYMMETRIC_KEY
from tests.pmd.ixgbe.fleet import fleet, until
from tests.pmd.model.reference import parse, toeplitz
from tests.pmd.model.reference import rss as expected_rss

RSS = 1 << 2  # mbuf.ol_flags

# Microsoft's "Verifying the RSS hash calculation": source, target, hash of addresses, and of addresses and ports.
PUBLISHED = [
    (("66.9.149.187", 2794), ("161.142.100.80", 1766), 0x323E8FC2, 0x51CCC178),
    (("199.92.111.2", 14230), ("65.69.140.83", 4739), 0xD718262A, 0xC626B0EA),
    (("24.19.198.95", 12898), ("12.22.207.184", 38024), 0xD2D0A5DE, 0x5C2B394A),
    (("38.27.205.30", 48228), ("209.142.163.6", 2217), 0x82989176, 0xAFC7327F),
    (("153.39.163.191", 44251), ("202.188.127.2", 1303), 0x5D1809C5, 0x10E828A2),
    (("3ffe:2501:200:1fff::7", 2794), ("3ffe:2501:200:3::1", 1766), 0x2CC18CD5, 0x40207D3D),
    (("3ffe:501:8::260:97ff:fe40:efab", 14230), ("ff02::1", 4739), 0x0F0C461C, 0xDDE51BBF),
    (
        ("3ffe:1900:4545:3:200:f8ff:fe21:67cf", 44251),
        ("fe80::200:f8ff:fe21:67cf", 38024),
        0x4B61E985,
        0x02D1FEEF,
    ),
]


def packet(source, target, layer=UDP, size=80) -> bytes:
    network = IPv6 if ":" in source[0] else IP
    ether = Ether(dst="ff:ff:ff:ff:ff:ff", src="02:00:00:00:00:77")
    data = bytes(
        ether / network(src=source[0], dst=target[0]) / layer(sport=source[1], dport=target[1]) / bytes(20)
    )
    return data.ljust(size, b"\0")


FLOWS = [packet((f"10.0.{n >> 4}.{n & 15}", 1000 + n), ("10.9.9.9", 53)) for n in range(256)]


def arrive(p: Pair, frames: list[bytes]) -> list[tuple[int, ReceivedPacket]]:
    """Each packet that comes in on the right, with its queue."""
    got = []
    for at in range(0, len(frames), 32):
        send(p.left.tx(0), frames[at : at + 32])
        p.step()
        for q in range(p.right.rx_queues):
            got += [(q, each) for each in receive_packets(p.right.rx(q))]
    assert len(got) == len(frames)
    return got


def spread(p: Pair) -> Counter[int]:
    """How 256 flows fall on the queues; each as its hash and the table say."""
    got = arrive(p, FLOWS)
    table = p.right.rss.table
    assert all(q == table[each.rss_hash & 127] and each.ol_flags & RSS for q, each in got)
    return Counter(q for q, _ in got)


@pytest.mark.parametrize("layer", [TCP, UDP])
@pytest.mark.parametrize("simd", ["scalar", "auto"])
def test_published_hashes_in_the_mbuf(layer, simd):
    with pair(f",simd={simd},rx_desc=64") as p:
        p.start(4)
        for types, column in ((("ipv4", "ipv6"), 2), (DEFAULT_TYPES, 3)):
            p.right.rss.hash_types = types
            for vector in PUBLISHED:
                ((queue, got),) = arrive(p, [packet(vector[0], vector[1], layer)])
                assert got.rss_hash == vector[column] and got.ol_flags & RSS
                assert queue == vector[column] % 128 % 4


def test_the_column_of_a_burst():
    """The column has the hashes of the descriptors."""
    seen = []

    class Look(App):
        def process(self, burst):
            seen.extend(burst.rss_hash.tolist())

    with pair(",rss_types=ipv4-udp+ipv4-tcp+ipv6-tcp") as p:
        p.start()
        with Pipeline(p.right.rx(0) >> Look() >> Sink()).stepper() as stepper:
            assert send(p.left.tx(0), [packet(*vector[:2], TCP) for vector in PUBLISHED]) == len(PUBLISHED)
            for _ in range(4):
                p.step()
                stepper.step(4)
    assert seen == [vector[3] for vector in PUBLISHED]


@pytest.mark.parametrize("running", [False, True])
def test_the_table(running):
    with pair(",rx_desc=64") as p:
        if running:
            p.start(4)
        table = np.arange(128, dtype=np.uint8) // 16 % 4
        p.right.rss.table = table
        if not running:
            p.start(4)
        assert p.right.rss.table == tuple(table)
        assert set(spread(p)) == {0, 1, 2, 3}
        p.right.rss.table = [3] * 128
        assert spread(p) == {3: 256}
        p.right.rss.table = [2 if n % 2 else 1 for n in range(128)]
        assert set(spread(p)) == {1, 2}
        before = p.right.rss.table
        for refused in ([4] * 128, [-1] * 128, [0] * 127, [0] * 129, []):
            with pytest.raises(ConfigError, match=r"of 4 queues it can fill 0 to 3|chip's has 128"):
                p.right.rss.table = refused
        assert p.right.rss.table == before and set(spread(p)) == {1, 2}


def test_shares():
    with pair(",rx_desc=64") as p:
        p.start(4)
        even = spread(p)
        for shares, counts in (([6, 2], [96, 32]), ([1, 0, 3], [32, 0, 96]), (3, [43, 43, 42])):
            p.right.rss.spread(shares)
            assert np.bincount(p.right.rss.table, minlength=len(counts)).tolist() == counts
            assert set(spread(p)) == {q for q, count in enumerate(counts) if count}
        p.right.rss.spread()
        assert p.right.rss.table == tuple(n % 4 for n in range(128)) and spread(p) == even
        for refused in ([], [0, 0], [-1, 2], [100, 100], [1] * 5, 5, 0):
            with pytest.raises(ConfigError, match=r"RSS by weights|of 4 queues it can fill 0 to 3"):
                p.right.rss.spread(refused)


def test_all_of_it_outlives_a_restart():
    with pair(",rx_desc=64") as p:
        right = p.right
        p.start(2)
        key = bytes(range(40))
        right.rss.key, right.rss.table, right.rss.hash_types = key, [1] * 100 + [0] * 28, ["ipv4"]
        before = arrive(p, FLOWS)
        right.stop()
        right.rss.hash_types = ("ipv4", "ipv4-udp")
        right.start()
        right.wait_link(5)
        assert (right.rss.key, right.rss.table) == (key, (1,) * 100 + (0,) * 28)
        assert right.rss.hash_types == ("ipv4", "ipv4-udp")
        for _, got in before:
            assert got.rss_hash == toeplitz(got.data[26:34], key)
        for queue, got in arrive(p, FLOWS):
            assert got.rss_hash == toeplitz(got.data[26:38], key) and queue == (got.rss_hash & 127 < 100)


def test_the_key_while_it_runs():
    with pair(",rx_desc=64") as p:
        p.start(4)
        there, back = packet(("10.0.0.1", 7), ("10.0.0.2", 9)), packet(("10.0.0.2", 9), ("10.0.0.1", 7))
        assert p.right.rss.key == DEFAULT_KEY
        (q, one), (r, other) = arrive(p, [there, back])
        assert one.rss_hash != other.rss_hash
        for value in ("symmetric", SYMMETRIC_KEY, SYMMETRIC_KEY.hex(), bytearray(SYMMETRIC_KEY)):
            p.right.rss.key = "default"
            p.right.rss.key = value
            assert p.right.rss.key == SYMMETRIC_KEY
            (q, one), (r, other) = arrive(p, [there, back])
            assert (q, one.rss_hash) == (r, other.rss_hash)
        for refused in (bytes(39), "6d5a", "random", bytes(41)):
            with pytest.raises(ConfigError, match="80 hex digits"):
                p.right.rss.key = refused
        assert p.right.rss.key == SYMMETRIC_KEY


def test_hash_types():
    """Each alone, against the reference; in any order; none: everything to queue 0 and no hash."""
    fields = dict(zip(HASH_TYPES, (1, 0, 6, 4, 5, 7, 3, 2, 8), strict=True))
    frames = [packet(*vector[:2], layer) for vector in PUBLISHED for layer in (TCP, UDP)]
    with pair(",rx_desc=64") as p:
        p.start(4)
        for name in HASH_TYPES:
            p.right.rss.hash_types = [name]
            for queue, got in arrive(p, frames):
                kind, value = expected_rss(parse(got.data), 1 << fields[name])
                assert bool(got.ol_flags & RSS) is bool(kind) and got.rss_hash == value
                assert queue == (p.right.rss.table[value & 127] if kind else 0)
        p.right.rss.hash_types = ["ipv6-tcp", "ipv4"]
        assert p.right.rss.hash_types == ("ipv4", "ipv6-tcp")
        p.right.rss.hash_types = ()
        assert {(q, got.ol_flags & RSS) for q, got in arrive(p, frames)} == {(0, 0)}
        with pytest.raises(ConfigError, match="RSS hash type sctp: expected any of ipv4, ipv4-tcp"):
            p.right.rss.hash_types = ["sctp"]


def test_one_queue_has_a_hash_if_it_was_asked_for():
    with pair() as p:
        p.start()
        ((_, got),) = arrive(p, FLOWS[:1])
        assert not got.ol_flags & RSS
        with pytest.raises(PortError, match="stop it, set what is to be hashed"):
            p.right.rss.hash_types = ["ipv4"]
        p.right.stop()
        p.right.rss.hash_types = ["ipv4"]
        p.right.start()
        p.right.wait_link(5)
        ((_, got),) = arrive(p, FLOWS[:1])
        assert got.ol_flags & RSS and got.rss_hash == toeplitz(FLOWS[0][26:34])


def test_a_table_for_more_queues_than_there_are():
    with pair() as p:
        p.right.rss.table = [n % 16 for n in range(128)]
        p.right.rx(7)
        with pytest.raises(ConfigError, match=r"RSS to queue 8: of 8 queues .*name more queues"):
            p.right.start()
        assert not p.right.started
        with pytest.raises(ConfigError, match="of 16 queues"):
            p.right.rss.table = [16] * 128
        p.right.rss.spread()
        p.right.start()
        assert max(p.right.rss.table) == 7


def test_a_port_without_rss_says_so():
    from dataplane import pmd

    with pmd.probe("null:") as port:
        assert "rss" not in port.capabilities
        with pytest.raises(
            PortError, match=r"null: has no RSS \(port\.rss\): ports that have it: PF and VFs"
        ):
            port.rss.spread(2)


@pytest.fixture
def sockets(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


@pytest.mark.parametrize(("vfs", "queues"), [(3, 4), (40, 2)])
def test_a_vf_has_its_pfs(sockets, vfs, queues):
    """It reads its PF's key and table if it is allowed to. Its packets follow them, before and after a restart of the PF."""
    with fleet(vfs, queues=queues) as made:
        (vf,) = made.open(0, queues=queues)
        for verb in ("key", "table"):
            with pytest.raises(MailboxRefused, match="its administrator may allow it"):
                getattr(vf.rss, verb)
        made.pf.vfs.set(0, query_rss=True)
        made.pf.rss.key = "symmetric"
        made.pf.rss.table = [queues - 1 if n < 64 else 0 for n in range(128)]
        for _ in range(2):
            assert vf.rss.key == SYMMETRIC_KEY
            assert vf.rss.table == made.pf.rss.table == (queues - 1,) * 64 + (0,) * 64
            until(lambda: vf.link.up and made.pf.link.up)
            head = bytes.fromhex(vf.mac.replace(":", "")) + bytes.fromhex(made.pf.mac.replace(":", ""))
            sent = [head + flow[12:] for flow in FLOWS[:64]]
            assert send(made.pf.tx(0), sent, timeout=2.0) == 64
            got: list[tuple[int, ReceivedPacket]] = []

            def come(got=got) -> bool:
                got += [(q, each) for q in range(queues) for each in receive_packets(vf.rx(q))]
                return len(got) == 64

            until(come)
            for queue, each in got:
                assert each.rss_hash == toeplitz(each.data[26:38], SYMMETRIC_KEY)
                assert queue == vf.rss.table[each.rss_hash & 127]
            assert {queue for queue, _ in got} == {0, queues - 1}
            recoveries = vf.recoveries
            made.pf.stop()
            made.pf.start()
            until(lambda recoveries=recoveries: vf.recoveries > recoveries and vf.link.up)
        with pytest.raises(ConfigError, match=f"of {queues} queues"):
            made.pf.rss.table = [queues] * 128
        for verb, value in (("key", "default"), ("table", [0] * 128), ("hash_types", ["ipv4"])):
            with pytest.raises(PortError, match=r"its PF's RSS .*there"):
                setattr(vf.rss, verb, value)
