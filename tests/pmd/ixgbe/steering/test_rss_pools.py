# SPDX-License-Identifier: BSD-3-Clause
"""RSS within pools, on the strict model: a table names queues that RSS fills, each is shown to be; the rest is refused.

The values that a port returns are read from the chip.
"""

from __future__ import annotations

import random
from collections import Counter

import pytest
from modelrig import pair

from dataplane.byhand import receive_packets, send
from dataplane.errors import ConfigError
from dataplane.pmd.datasheet import MRQC, RETA, RSSRK
from dataplane.pmd.ixgbe.steering.rss import SYMMETRIC_KEY
from tests.pmd.ixgbe.fleet import fleet, until
from tests.pmd.ixgbe.steering.test_rss import packet

PORTS = random.Random(1).sample(range(1024, 65536), 64)
FLOWS = [packet((f"10.0.{port & 7}.{port >> 8}", port), ("10.9.9.9", 53)) for port in PORTS]


@pytest.fixture(autouse=True)
def sockets(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


def address(port) -> bytes:
    return bytes.fromhex(port.mac.replace(":", ""))


def filled(source, target) -> Counter[int]:
    """How 64 flows from one function to another fall on its queues; each as the target's table says."""
    until(lambda: source.link.up and target.link.up)
    table, head = target.rss.table, address(target) + address(source)
    assert send(source.tx(0), [head + flow[12:] for flow in FLOWS], timeout=2.0) == len(FLOWS)
    got: list[tuple[int, int]] = []

    def come() -> bool:
        for q in range(target.rx_queues):
            got.extend((q, each.rss_hash) for each in receive_packets(target.rx(q)))
        return len(got) == len(FLOWS)

    until(come)
    assert all(q == table[hashed & 127] for q, hashed in got)
    return Counter(q for q, _ in got)


@pytest.mark.parametrize(
    ("vfs", "queues", "usable"), [(3, 1, 4), (3, 2, 2), (3, 3, 2), (3, 4, 4), (40, 1, 2), (40, 2, 2)]
)
def test_a_table_names_what_rss_fills(vfs, queues, usable):
    """Every entry from `usable` on is refused and changes nothing; every one below is used: by the PF, or with one queue
    by a VF that has all."""
    with fleet(vfs, queues=queues) as made:
        pf, most = made.pf, 2 if vfs > 31 else 4
        (vf,) = made.open(0, queues=most, desc=128)
        pf.vfs.set(0, query_rss=True)
        source, target = (pf, vf) if queues == 1 else (vf, pf)
        assert set(filled(source, target)) == set(range(usable)), "as it is from the start"
        assert vf.rss.table == tuple(n % most for n in range(128)), "VFs have all of theirs"
        for queue in range(usable):
            pf.rss.table = [queue] * 128
            assert pf.rss.table == target.rss.table == (queue,) * 128
            assert filled(source, target) == {queue: len(FLOWS)}
        for queue in range(usable, 17):
            refusal = f"RSS to queue {queue}: of .* it can fill 0 to {usable - 1}"
            with pytest.raises(ConfigError, match=refusal) as refused:
                pf.rss.table = [queue] * 128
            assert len(str(refused.value)) < 200
            assert ("name more queues, up to 3" in str(refused.value)) is (queue < most), (
                "when that would help"
            )
            with pytest.raises(ConfigError, match=refusal):
                pf.rss.spread([0] * queue + [1])
        assert pf.rss.table == (usable - 1,) * 128 and filled(source, target) == {usable - 1: len(FLOWS)}


def test_a_start_refuses_a_table_that_it_cannot_keep():
    with fleet(3, queues=1) as made:
        pf = made.pf
        pf.rss.table = [2] * 128  # for VFs
        pf.stop()
        pf.rx(2)
        with pytest.raises(
            ConfigError,
            match=r"RSS to queue 2: of 3 .*it can fill 0 to 1, with VFs 2 or 4: name more queues, up to 3",
        ):
            pf.start()
        assert not pf.started
        pf.rss.spread([1, 0, 1])
        with pytest.raises(ConfigError, match="RSS to queue 2"):
            pf.start()
        pf.rx(3)
        pf.start()
        (vf,) = made.open(0, desc=128)
        assert set(filled(vf, pf)) == {0, 2}


def test_before_the_start_nobody_knows_how_many_there_will_be():
    with fleet(3, queues=0) as made:
        made.pf.stop()
        with pytest.raises(
            ConfigError, match="RSS to queue 4: of 4 queues it can fill 0 to 3: give it another"
        ):
            made.pf.rss.table = [4] * 128
        made.pf.rss.table = [3] * 128
        assert made.pf.rss.table == (3,) * 128


def test_the_third_of_three_queues():
    """A rule fills it for a PF. Nothing does for a VF, which says so when it starts."""
    with fleet(3, queues=3) as made:
        pf = made.pf
        with pytest.raises(ConfigError, match="queue=3: this port has Rx queues 0 to 2"):
            pf.flows.add(proto="udp", dst_port=53, queue=3)
        with pytest.raises(
            ConfigError, match=r"vf1,pf_wait=60: Rx queue 2 would stay empty.* 0 to 1\. .*name queue 3"
        ):
            made.open(1, queues=3, desc=128)
        vf = made.vfs[1]
        assert not vf.started
        vf.rx(3)
        vf.start()
        pf.vfs.set(1, query_rss=True)
        assert set(filled(pf, vf)) == {0, 1, 2, 3}
        with pf.flows.add(proto="udp", dst_port=53, queue=2):
            head = address(pf) + address(vf)
            assert send(vf.tx(0), [head + flow[12:] for flow in FLOWS], timeout=2.0) == len(FLOWS)
            got: list[object] = []
            until(lambda: got.extend(receive_packets(pf.rx(2))) or len(got) == len(FLOWS))
        assert set(filled(vf, pf)) == {0, 1}


def test_what_is_told_is_the_chips():
    """PF and VF report words that another program wrote, until the PF writes them again."""
    with fleet(3, queues=2) as made:
        pf, bar = made.pf, made.pf.bar
        (vf,) = made.open(0, queues=2, desc=128)
        pf.vfs.set(0, query_rss=True)
        for register in RSSRK:
            bar.write(register, 0x0403_0201)
        for register in RETA:
            bar.write(register, 0x0302_0100)
        bar.clear(MRQC.IPV4, MRQC.UDP_IPV6)
        assert pf.rss.key == vf.rss.key == bytes((1, 2, 3, 4)) * 10
        assert pf.rss.table == vf.rss.table == (0, 1) * 64, "one bit counts for both"
        assert pf.rss.hash_types == ("ipv4-tcp", "ipv4-udp", "ipv6", "ipv6-tcp")
        assert set(filled(vf, pf)) | set(filled(pf, vf)) == {0, 1}
        pf.rss.key = "symmetric"
        assert pf.rss.key == vf.rss.key == SYMMETRIC_KEY and "ipv4" in pf.rss.hash_types
        pf.stop()
        pf.rss.table = [1] * 128
        assert pf.rss.table == (1,) * 128, "what it will have"


def test_without_vfs_too():
    with pair() as p:
        p.right.rss.key = "symmetric"
        p.start()
        right = p.right
        assert (right.rss.key, right.rss.table) == (SYMMETRIC_KEY, (0,) * 128)
        assert right.rss.hash_types == (), "with one queue nothing is hashed"
        right.rss.key = "default"
        assert right.rss.key != SYMMETRIC_KEY
        right.stop()
        right.rx(2)
        right.start()
        for register in RETA:
            right.bar.write(register, 0x0102_0100)
        assert right.rss.table == (0, 1, 2, 1) * 32
