# SPDX-License-Identifier: BSD-3-Clause
"""What DPDK's net_ixgbe asks of the chip beyond plain frames: checksums, tags, segmentation, long frames, many queues."""

from __future__ import annotations

import re
import time

from dpdkrig import QueueCounts, exchange, receive_all
from modelrig import frame
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from dataplane import Pipeline
from dataplane.apps import Sink
from dataplane.byhand import send
from dataplane.engine.running import start

LARGE = "--max-pkt-len=9018", "--enable-scatter", "--tx-offloads=0x8000"  # a packet in several mbufs


def plugged(rig, options=""):
    rig.plug_in("model0,manner=strict,wire=model2", "model1,wire=model3")
    return rig.port(f"model2,promiscuous=on{options}"), rig.port(f"model3,promiscuous=on{options}")


def ether(port=0):
    return Ether(dst="02:82:59:90:00:00", src="02:00:00:00:00:77")


def checked(data):
    """Whether IPv4's and TCP's or UDP's checksum of a frame are right."""
    again = Ether(data)
    for layer in (IP, TCP, UDP):
        if layer in again:
            del again[layer].chksum
    return bytes(again) == data


def test_checksums_on_the_way_in(rig):
    """testpmd's csum engine counts what the chip says is bad."""
    near, _ = plugged(rig)
    testpmd = rig.testpmd("--rx-offloads=0xe", "--forward-mode=csum")  # IPv4, UDP, TCP
    testpmd.ask("start")
    good = [
        bytes(ether() / IP(src="10.0.0.1", dst="10.0.0.2") / kind(sport=n) / Raw(bytes(n)))
        for n in range(40)
        for kind in (UDP, TCP)
    ]
    ip = [data[:24] + bytes([data[24] ^ 1]) + data[25:] for data in good[:6]]
    tcp = [data[:50] + bytes([data[50] ^ 1]) + data[51:] for data in good[1:9:2]]
    for frames in (good, ip, tcp):
        assert send(near.tx(0), frames, near.mempool, timeout=2.0) == len(frames)
    time.sleep(0.3)
    said = testpmd.ask("show fwd stats all")
    found = {kind: max(map(int, re.findall(rf"Bad-{kind}: (\d+)", said))) for kind in ("ipcsum", "l4csum")}
    assert found == {"ipcsum": len(ip), "l4csum": len(tcp)}
    testpmd.quit()


def test_checksums_on_the_way_out(rig):
    near, far = plugged(rig)
    testpmd = rig.testpmd("--tx-offloads=0xe", "--forward-mode=csum")  # IPv4, UDP, TCP
    testpmd.ask("port stop all")
    for layer in ("ip", "udp", "tcp"):
        testpmd.ask(f"csum set {layer} hw 1")
    testpmd.ask("port start all")
    testpmd.ask("start")
    sent = []
    for n in range(60):
        ip, payload = IP(src="10.0.0.1", dst=f"10.0.1.{n}", chksum=0), Raw(bytes(range(n)))
        sent += [bytes(ether() / ip / kind(sport=n, chksum=0xAAAA) / payload) for kind in (UDP, TCP)]
    got = exchange(near, far, sent)
    assert len(got) == len(sent)
    assert all(checked(data) for data in got)
    assert [Ether(data)[IP].dst for data in got] == [Ether(data)[IP].dst for data in sent]
    testpmd.quit()


def test_segmentation(rig):
    """Packets of 8 KB are cut into segments by the chip; put together they are what went in."""
    near, far = plugged(rig, ",mtu=9000")
    testpmd = rig.testpmd(
        "--forward-mode=csum", "--max-pkt-len=9018", "--enable-scatter", "--tx-offloads=0x802e"
    )
    testpmd.ask("port stop all")
    testpmd.ask("csum set ip hw 1")
    testpmd.ask("csum set tcp hw 1")
    testpmd.ask("tso set 1000 1")
    testpmd.ask("port start all")
    testpmd.ask("start")
    payload = bytes(range(256)) * 31
    packet = ether() / IP(src="10.0.0.1", dst="10.0.0.2", id=7) / TCP(seq=1000, flags="PA") / Raw(payload)
    assert send(near.tx(0), [bytes(packet)], near.mempool) == 1
    got = [Ether(data) for data in receive_all(far, 8)]
    assert all(checked(bytes(data)) for data in got)
    assert [len(data[TCP].payload) for data in got] == [1000] * 7 + [936]
    assert b"".join(bytes(data[TCP].payload) for data in got) == payload
    assert [data[TCP].seq for data in got] == list(range(1000, 9000, 1000))
    assert [data[IP].id for data in got] == list(range(7, 15))
    assert [str(data[TCP].flags) for data in got] == ["A"] * 7 + ["PA"]
    testpmd.quit()


def test_packets_are_merged(rig):
    """DPDK's receive function for LRO follows the chip's chains: payload and pieces are as they were sent."""
    near, _ = plugged(rig)
    testpmd = rig.testpmd("--enable-lro", "--forward-mode=rxonly")
    testpmd.ask("set verbose 1")
    testpmd.ask("start")
    head = IP(src="10.0.0.1", dst="10.0.0.2")
    sent = [bytes(ether() / head / TCP(seq=1 + 1000 * n, flags="A") / Raw(bytes(1000))) for n in range(30)]
    sent.append(bytes(ether() / head / TCP(seq=30_001, flags="PA") / Raw(bytes(7))))
    assert send(near.tx(0), sent, near.mempool, timeout=2.0) == len(sent)
    time.sleep(0.3)
    testpmd.ask("stop")
    told = re.findall(r"length=(\d+) - nb_segs=(\d+)", testpmd.said)
    found = [(int(size), int(pieces)) for size, pieces in told]
    assert sum(size - 54 for size, _ in found) == 30_007
    assert len(found) < 16 and all(pieces == -(-size // 2048) for size, pieces in found)
    testpmd.quit()


def test_long_frames_in_several_buffers(rig):
    near, far = plugged(rig, ",mtu=9000")
    testpmd = rig.testpmd(*LARGE)
    testpmd.ask("start")
    sent = [frame(n, 9014 - 61 * n) for n in range(120)]
    assert exchange(near, far, sent, at_once=8) == sent
    testpmd.quit()


def swapped(data, tag):
    return data[6:12] + data[:6] + tag + data[12:]


def test_tags_are_taken_off_and_put_in(rig):
    near, far = plugged(rig)
    testpmd = rig.testpmd("--forward-mode=rxonly")
    testpmd.ask("vlan set strip on 0")
    testpmd.ask("set verbose 1")
    testpmd.ask("start")
    assert send(near.tx(0), [frame(1, 100, tag=0x2005)], near.mempool) == 1
    said = testpmd.until("Receive queue")
    assert "VLAN tci=0x2005" in said and "length=96" in said
    testpmd.ask("set verbose 0")
    testpmd.ask("stop")
    testpmd.ask("vlan set strip off 0")
    testpmd.ask("set fwd macswap")  # io looks at no packet
    testpmd.ask("port stop 1")
    testpmd.ask("tx_vlan set 1 7")
    testpmd.ask("port start 1")
    testpmd.ask("start")
    plain = [frame(n, 60 + n) for n in range(50)]
    assert exchange(near, far, plain) == [swapped(data, b"\x81\x00\x00\x07") for data in plain]
    testpmd.quit()


def test_the_vlan_filter(rig):
    near, _ = plugged(rig)
    testpmd = rig.testpmd("--forward-mode=rxonly")
    testpmd.ask("set promisc 0 off")
    testpmd.ask("vlan set filter on 0")
    testpmd.ask("rx_vlan add 5 0")
    testpmd.ask("start")
    testpmd.clear()
    for tag in (5, 6, 5):
        send(near.tx(0), [frame(tag, 100, "02:82:59:90:00:00", tag=tag)], near.mempool)
    time.sleep(0.3)
    assert testpmd.counts(0)["RX-packets"] == 2
    testpmd.quit()


def flows(n, **fields):
    return [
        bytes(
            ether() / IP(src=f"10.0.{k // 250}.{k % 250 + 1}", dst="10.9.9.9") / UDP(sport=1000 + k, **fields)
        )
        for k in range(n)
    ]


def test_rss_spreads_flows_and_keeps_each_together(rig):
    near, _ = plugged(rig)
    testpmd = rig.testpmd("--forward-mode=rxonly", "--rxq=4", "--txq=4", "--rss-udp")
    counted = QueueCounts(testpmd, 4)
    testpmd.ask("start")
    sent = flows(200)
    for _ in range(3):
        for at in range(0, len(sent), 50):
            send(near.tx(0), sent[at : at + 50], near.mempool, timeout=2.0)
            time.sleep(0.02)
    time.sleep(0.3)
    spread = counted()
    assert sorted(spread) == [0, 1, 2, 3] and sum(spread.values()) == 600
    assert all(count % 3 == 0 and count > 60 for count in spread.values()), spread
    testpmd.quit()


def test_the_hash_is_the_published_one(rig):
    """Microsoft's verification suite, with its key: what the chip writes into the descriptor, as testpmd prints it."""
    near, _ = plugged(rig)
    testpmd = rig.testpmd("--forward-mode=rxonly", "--rxq=4", "--txq=4", "--rss-ip", "--rx-offloads=0x80000")
    key = "6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa"
    testpmd.ask(f"port config 0 rss-hash-key ipv4-tcp {key}")
    testpmd.ask("port config all rss ip|tcp")
    testpmd.ask("set verbose 1")
    testpmd.ask("start")
    packet = ether() / IP(src="66.9.149.187", dst="161.142.100.80") / TCP(sport=2794, dport=1766)
    send(near.tx(0), [bytes(packet)], near.mempool)
    assert "RSS hash=0x51ccc178" in testpmd.until("Receive queue")
    testpmd.quit()


def test_as_many_queues_as_rss_fills(rig):
    near, _ = plugged(rig)
    many = 16
    testpmd = rig.testpmd("--forward-mode=rxonly", f"--rxq={many}", f"--txq={many}", "--rss-udp", mbufs=16384)
    counted = QueueCounts(testpmd, many)
    testpmd.ask("start")
    sent = flows(400)
    for at in range(0, len(sent), 50):
        send(near.tx(0), sent[at : at + 50], near.mempool, timeout=2.0)
        time.sleep(0.02)
    time.sleep(0.3)
    spread = counted()
    assert sum(spread.values()) == 400 and sorted(spread) == list(range(many))
    testpmd.quit()


def test_rules_for_a_5_tuple_and_an_ethertype(rig):
    near, _ = plugged(rig)
    testpmd = rig.testpmd("--forward-mode=rxonly", "--rxq=4", "--txq=4", "--disable-rss")
    counted = QueueCounts(testpmd, 4)
    tuple_ = "ipv4 src is 10.0.0.5 dst is 10.9.9.9 / udp src is 1004 dst is 53"
    for pattern, queue in ((f"eth / {tuple_}", 2), ("eth type is 0x88f7", 3)):
        said = testpmd.ask(f"flow create 0 ingress pattern {pattern} / end actions queue index {queue} / end")
        assert "created" in said, said
    testpmd.ask("start")
    sent = [*flows(1, dport=53), *flows(5, dport=53)[4:], bytes(ether())[:12] + b"\x88\xf7" + bytes(46)]
    send(near.tx(0), sent, near.mempool)
    time.sleep(0.3)
    found = counted()
    assert found == {0: 1, 2: 1, 3: 1}
    testpmd.ask("flow flush 0")
    send(near.tx(0), sent, near.mempool)
    time.sleep(0.3)
    assert counted() == {0: 1 + len(sent), 2: 1, 3: 1}
    testpmd.quit()


def test_a_rate_for_a_queue(rig):
    """rte_eth_set_queue_rate_limit: bytes on the wire by the second, before, with and after a limit of 20 Mb/s."""
    near, _ = plugged(rig)
    testpmd = rig.testpmd("--forward-mode=txonly")
    testpmd.ask("set txpkts 1000")

    def mbps(seconds):
        before, began = near.xstats()["rx_total_bytes"], time.monotonic()
        time.sleep(seconds)
        return (near.xstats()["rx_total_bytes"] - before) * 8e-6 / (time.monotonic() - began)

    with start(Pipeline(near.rx(0) >> Sink())):
        testpmd.ask("start")
        before = mbps(0.5)
        testpmd.ask("set port 0 queue 0 rate 20")
        time.sleep(0.2)
        limited = mbps(2.0)
        testpmd.ask("set port 0 queue 0 rate 10000")
        time.sleep(0.2)
        after = mbps(0.5)
    assert 5 < limited < 20.5, (
        "above is wrong; far below, the machine had no time: a pause of 2 ms is not made up for"
    )
    assert before > 40 < after
    testpmd.quit()
