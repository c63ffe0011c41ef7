# SPDX-License-Identifier: BSD-3-Clause
"""DPDK's net_ixgbe steers by rte_flow: filters of the model's flow director, found by hashes that DPDK computes."""

from __future__ import annotations

import time

from dpdkrig import QueueCounts
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.layers.sctp import SCTP
from scapy.packet import Raw

from dataplane.byhand import send

QUEUES = 8
WORDS = ("--rxq=8", "--txq=8", "--disable-rss", "--forward-mode=rxonly")

IN_A_RUN = ("Packet buffers, RDRXCTL, MRQC.MRQE and CRC stripping change only while RXEN is 0",)


def packet(l4, src="192.168.0.3", dst="192.168.0.4", payload=b"x" * 20):
    ether = Ether(dst="02:82:59:90:00:00", src="02:00:00:00:00:77")
    return bytes(ether / IP(src=src, dst=dst) / l4 / Raw(payload))


class Flows:
    """testpmd with one port, its rules, and where packets go."""

    def __init__(self, rig, *words):
        rig.plug_in("model0,manner=strict,wire=model2", "model1,wire=model3")
        self.near = rig.port("model2")
        self.testpmd = rig.testpmd(*WORDS, *words)
        self.counted = QueueCounts(self.testpmd, QUEUES)
        self.testpmd.ask("start")

    def create(self, rule):
        said = self.testpmd.ask(f"flow create 0 ingress pattern {rule} / end")
        assert "created" in said, said

    def queue_of(self, data):
        """The queue that gets a packet; None if no queue has got it after 0.5 s."""
        before = self.counted()
        assert send(self.near.tx(0), [data], self.near.mempool, timeout=2.0) == 1
        for _ in range(50):
            time.sleep(0.01)
            grown = [queue for queue, count in self.counted().items() if count != before.get(queue, 0)]
            if grown:
                assert len(grown) == 1
                return grown[0]
        return None


def test_flow_director(rig):
    """Rules that mark or drop are the flow director's, which the chip must find by the hash that DPDK computes."""
    flows = Flows(rig)
    hosts = "ipv4 src is 192.168.0.3 dst is 192.168.0.4"
    # The first rule takes the flow director's memory from the packet buffer of a port that runs (and a port that stops
    # forgets the masks): that is DPDK's way, and not the datasheet's.
    rig.forgiven = IN_A_RUN
    flows.create(f"eth / {hosts} / udp src is 22 dst is 23 / end actions queue index 2 / mark id 5")
    assert rig.all_violations()
    flows.create(f"eth / {hosts} / tcp src is 32 dst is 33 / end actions queue index 3 / mark id 6")
    assert flows.queue_of(packet(UDP(sport=22, dport=23))) == 2
    assert flows.queue_of(packet(TCP(sport=32, dport=33))) == 3
    assert flows.queue_of(packet(UDP(sport=22, dport=24))) == 0
    assert flows.queue_of(packet(TCP(sport=22, dport=23))) == 0
    said = flows.testpmd.ask("show port xstats 0")
    for name, count in (("added_filters", 2), ("matched_filters", 2), ("missed_filters", 2)):
        assert f"flow_director_{name}: {count}\n" in said, said
    flows.testpmd.ask("flow destroy 0 rule 0")
    assert flows.queue_of(packet(UDP(sport=22, dport=23))) == 0
    assert flows.queue_of(packet(TCP(sport=32, dport=33))) == 3
    flows.testpmd.quit()


def test_flow_director_drops(rig):
    """With FDIRM.L4P, as DPDK has it for a rule without ports."""
    flows = Flows(rig)
    rig.forgiven = IN_A_RUN
    flows.create("eth / ipv4 src is 192.168.0.5 dst is 192.168.0.6 / sctp / end actions drop")
    assert flows.queue_of(packet(SCTP(), "192.168.0.5", "192.168.0.6")) is None
    assert flows.queue_of(packet(SCTP(), "192.168.0.5", "192.168.0.7")) == 0
    flows.testpmd.ask("flow flush 0")
    assert flows.queue_of(packet(SCTP(), "192.168.0.5", "192.168.0.6")) == 0
    flows.testpmd.quit()
