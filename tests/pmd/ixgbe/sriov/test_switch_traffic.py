# SPDX-License-Identifier: BSD-3-Clause
"""VFs with several queues, with long frames, with offloads, and on lcores; our drivers at both ends."""

from __future__ import annotations

import random

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from dataplane import Pipeline, pmd
from dataplane.apps import Latency, PktGen
from dataplane.byhand import Offload, receive, receive_packets, send
from tests.pmd.ixgbe.fleet import fleet, until
from tests.pmd.ixgbe.sriov.town import mac, numbered
from tests.pmd.model.reference import parse, rss


def udp(to: str, source: str, flow: int, text: bytes = b"text") -> bytes:
    chosen = random.Random(flow)
    head = Ether(dst=to, src=source) / IP(src=f"10.0.{chosen.randrange(256)}.{flow}", dst="10.1.0.1")
    return bytes(head / UDP(sport=chosen.randrange(1024, 65536), dport=7) / Raw(text)).ljust(60, b"\0")


@pytest.mark.parametrize(("vfs", "queues"), [(2, 4), (40, 2)])
@pytest.mark.parametrize("sender", ["far", "vf", "pf"])
def test_flows_over_the_queues_of_a_vf(vfs: int, queues: int, sender: str) -> None:
    """RSS within the pool: each flow in its queue, in order."""
    with fleet(vfs, ",thread=off") as made, pmd.probe("model1,thread=off") as far:
        far.configure(mempool=made.pool)
        far.rx(0), far.tx(0)
        far.start()
        (a,) = made.open(0, queues=queues)
        (b,) = made.open(1)
        for port in (a, b, far):
            port.wait_link(5.0)
        source = {"far": far, "vf": b, "pf": made.pf}[sender]
        frames = [udp(a.mac, source.mac, flow) for flow in range(48)]
        assert send(source.tx(0), frames) == len(frames)
        made.pf.function.card.step(8)
        got = [receive(a.rx(queue), 64) for queue in range(queues)]
        should: list[list[bytes]] = [[] for _ in range(queues)]
        for frame in frames:
            # UDP over IPv4 is hashed; the table deals queues out in turn (`PoolFilters.write_rss`).
            should[rss(parse(frame), 1 << 6)[1] % 128 % queues].append(frame)
        assert got == should and all(should)
        assert receive(b.rx(0)) == []


def test_long_frames_between_vfs_and_over_the_wire() -> None:
    with fleet(2, ",thread=off,mtu=9000") as made, pmd.probe("model1,thread=off,mtu=9000") as far:
        far.configure(mempool=made.pool)
        far.rx(0), far.tx(0)
        far.start()
        a, b = made.open(0, 1, options=",mtu=9000")
        for port in (a, b, far):
            port.wait_link(5.0)
        ports = (a, b, far, made.pf)
        for source in ports:
            for target in ports:
                frame = numbered(mac(target.mac), mac(source.mac), size=9014)
                assert send(source.tx(0), [frame], segment=2048) == 1
                made.pf.function.card.step(8)
                got = [receive(port.rx(0)) for port in ports]
                assert got == [[frame] if port is target is not source else [] for port in ports]


def test_offloads_between_vfs() -> None:
    """A tag and checksums that the chip puts in are in what comes out of the switch."""
    with fleet(2, ",thread=off") as made:
        a, b = made.open(0, 1)
        for port in (a, b):
            port.wait_link(5.0)
            port.vlans.add(5)
        whole = udp(b.mac, a.mac, 1, b"x" * 50)
        bare = bytearray(whole)
        bare[24:26] = bytes(2)
        bare[40:42] = pseudo_sum(bare).to_bytes(2, "big")
        assert send(a.tx(0), [bytes(bare)], offload=Offload("vlan ipv4 ip udp", vlan_tci=5)) == 1
        made.pf.function.card.step(4)
        (got,) = receive_packets(b.rx(0))
        assert got.data == whole[:12] + b"\x81\x00\x00\x05" + whole[12:]


def pseudo_sum(frame: bytes) -> int:
    """The seed of a UDP checksum, as a stack writes it: the sum of the pseudo header."""
    from scapy.utils import checksum

    words = bytes(frame[26:34]) + b"\0\x11" + (len(frame) - 34).to_bytes(2, "big")
    return ~checksum(words) & 0xFFFF


def test_pipelines_on_vfs() -> None:
    """A generator on one VF, a meter on another, on lcores of their own; a third VF hears nothing of it."""
    with fleet(3) as made:
        a, c = made.open(0, 2)
        (b,) = made.open(
            1, desc=4096
        )  # room for all: a VF without descriptors loses frames, on a busy machine too
        until(lambda: a.link.up and b.link.up and c.link.up)
        generator = PktGen(Ether(src=a.mac, dst=b.mac) / IP() / UDP(), count=3000, rate="20 kpps", stamp=True)
        meter = Latency()
        Pipeline(generator >> a.tx(0), b.rx(0) >> meter, lossless=True).run(seconds=3)
        summary = meter.summary(sent=generator.sent)
        made.pf.function.card.sleep(0.01)
        assert generator.sent == 3000 and summary["lost"] == 0, summary
        assert receive(c.rx(0)) == [] and b.xstats()["rx_good_packets"] == 3000


def test_vfs_of_two_cards() -> None:
    """Each card in its thread, PFs and VFs at both ends of one wire; each frame at its own VF, once, in order."""
    with fleet(2, ",wire=model2") as near, fleet(2, name="model2", pool=near.pool) as far:
        a, b = near.open(0, 1, desc=256)
        c, d = far.open(0, 1, desc=256)
        ports = (a, b, c, d)
        until(lambda: all(port.link.up for port in ports))
        for source in ports:
            should: dict[str, list[bytes]] = {port.mac: [] for port in ports}
            got: dict[str, list[bytes]] = {port.mac: [] for port in ports}
            frames = []
            for n in range(600):
                target = ports[n % 4]
                frames.append(numbered(mac(target.mac), mac(source.mac), size=60 + n))
                if target is not source:
                    should[target.mac].append(frames[-1])

            def collect(got: dict[str, list[bytes]] = got, should: dict[str, list[bytes]] = should) -> bool:
                for port in ports:
                    got[port.mac] += receive(port.rx(0), 64)
                return all(len(got[each]) >= len(should[each]) for each in got)

            sent = 0
            while sent < len(frames):
                sent += send(source.tx(0), frames[sent : sent + 32])
                until(lambda: collect() or True)
            until(collect)
            assert got == should
