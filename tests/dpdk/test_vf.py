# SPDX-License-Identifier: BSD-3-Clause
"""DPDK's net_ixgbe_vf, unmodified, on a VF of a strict card of the model, under our PF driver."""

from __future__ import annotations

import time

import pytest
from dpdkrig import eventually, exchange, receive_all
from modelrig import frame
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from dataplane.byhand import receive, send
from dataplane.pmd.datasheet import mailbox

PEER = "02:00:00:00:99:01"


class Ruled:
    """Our PF with two VFs on model0; they are testpmd's ports 0 and 1. `far` is at the other end of the PF's wire."""

    def __init__(self, rig, options=""):
        self.pf = rig.port(f"model0,manner=strict,vfs=2,wire=model2,promiscuous=on{options}")
        self.far = rig.port(f"model2,promiscuous=on{options}")
        self.pf.wait_link()
        self.vfs = self.pf.host.table.vfs
        rig.plug_in("model0.vf0", "model0.vf1")

    def mac(self, number):
        return self.vfs[number].own_mac.hex(":")

    def set(self, number, **settings):
        self.pf.host.set(number, settings)


@pytest.fixture
def ruled(rig):
    return Ruled(rig)


def sent_to(testpmd, port, ruled, frames):
    """How many of these frames, sent from the wire, the VF that is testpmd's port counts."""
    before = testpmd.counts(port)["RX-packets"]
    assert send(ruled.far.tx(0), frames, ruled.far.mempool, timeout=2.0) == len(frames)
    time.sleep(0.3)
    return testpmd.counts(port)["RX-packets"] - before


def test_bring_up(rig, ruled):
    """Its address is the one that our PF gives; API 1.3 is what DPDK asks for first; carrier is the PF's."""
    testpmd = rig.testpmd()
    for number in range(2):
        info = testpmd.ask(f"show port info {number}")
        assert "Driver name: net_ixgbe_vf" in info
        assert f"MAC address: {ruled.mac(number).upper()}" in info
        assert "Link status: up" in info and "Link speed: 10 Gbps" in info
        assert ruled.vfs[number].active and ruled.vfs[number].api == mailbox.API_1_3
    testpmd.quit()
    # Each slot is reset by its own thread, once it has seen that the program is gone.
    eventually(lambda: not ruled.pf.host.in_use, "both VFs have left")


def test_traffic_to_and_from_the_wire(rig, ruled):
    """In by one VF and out by the other, with the addresses that the spoof check wants."""
    testpmd = rig.testpmd("--forward-mode=mac", f"--eth-peer=1,{PEER}")
    testpmd.ask("start")
    sent = [frame(n, 60 + n * 37 % 1455, ruled.mac(0)) for n in range(1000)]
    addresses = bytes.fromhex((PEER + ruled.mac(1)).replace(":", ""))
    assert exchange(ruled.far, ruled.far, sent) == [addresses + data[12:] for data in sent]
    assert testpmd.counts(0)["RX-packets"] == testpmd.counts(1)["TX-packets"] == 1000
    assert testpmd.counts(0)["RX-bytes"] == sum(len(data) for data in sent)
    testpmd.quit()


def test_traffic_from_vf_to_vf_stays_inside(rig, ruled):
    testpmd = rig.testpmd("--forward-mode=txonly", "--txpkts=100", f"--eth-peer=0,{ruled.mac(1)}")
    testpmd.ask("set portlist 0")
    testpmd.ask("start")
    time.sleep(0.5)
    testpmd.ask("stop")
    testpmd.ask("set portlist 1")
    testpmd.ask("set fwd rxonly")
    testpmd.ask("start")
    time.sleep(0.5)
    sent, got = testpmd.counts(0), testpmd.counts(1)
    assert sent["TX-packets"] > 0
    assert got["RX-packets"] + got["RX-missed"] > 0
    assert not receive(ruled.far.rx(0), 32), "the wire saw what was for a VF"
    testpmd.quit()


def test_txonly_arrives(rig, ruled):
    testpmd = rig.testpmd("--forward-mode=txonly", "--txpkts=128", f"--eth-peer=0,{PEER}")
    testpmd.ask("set portlist 0")
    testpmd.ask("start")
    got = receive_all(ruled.far, 300)
    testpmd.ask("stop")
    got += receive_all(ruled.far)
    assert testpmd.counts(0)["TX-packets"] == len(got)
    for data in (got[0], got[-1]):
        packet = Ether(data)
        assert (packet.dst, packet.src, len(data)) == (PEER, ruled.mac(0), 128)
        assert packet[IP].len == 114 and packet[UDP].len == 94
    testpmd.quit()


def test_spoofed_frames_do_not_leave(rig, ruled):
    """macswap sends with the address that the frame was for, VF 0's, by VF 1."""
    testpmd = rig.testpmd("--forward-mode=macswap")
    testpmd.ask("start")
    assert sent_to(testpmd, 0, ruled, [frame(n, to=ruled.mac(0)) for n in range(20)]) == 20
    assert receive_all(ruled.far) == []
    ruled.set(1, spoofchk="off")
    assert sent_to(testpmd, 0, ruled, [frame(n, to=ruled.mac(0)) for n in range(20)]) == 20
    assert len(receive_all(ruled.far, 20)) == 20
    testpmd.quit()


def test_addresses(rig, ruled):
    """A MAC of its own choice is granted, and refused once the administrator has set one."""
    testpmd = rig.testpmd("--forward-mode=rxonly")
    testpmd.ask("start")
    own, other = "02:aa:00:00:00:01", "02:aa:00:00:00:02"
    assert "error" not in testpmd.ask(f"mac_addr set 0 {own}").lower()
    assert sent_to(testpmd, 0, ruled, [frame(1, to=own)]) == 1
    assert sent_to(testpmd, 0, ruled, [frame(1, to=ruled.mac(0))]) == 0
    testpmd.ask(f"mac_addr add 0 {other}")
    assert sent_to(testpmd, 0, ruled, [frame(1, to=other)]) == 1
    testpmd.ask(f"mac_addr remove 0 {other}")
    assert sent_to(testpmd, 0, ruled, [frame(1, to=other)]) == 0
    ruled.set(1, mac="02:bb:00:00:00:01")
    time.sleep(0.2)
    testpmd.ask(f"mac_addr set 1 {other}")
    time.sleep(0.2)
    assert sent_to(testpmd, 1, ruled, [frame(1, to=other)]) == 0
    assert any("SET_MAC" in why for why in ruled.vfs[1].refusals)
    testpmd.quit()


def test_multicast(rig, ruled):
    testpmd = rig.testpmd("--forward-mode=rxonly")
    testpmd.ask("start")
    group, stranger = "01:00:5e:01:02:03", "01:00:5e:7f:00:05"
    testpmd.ask(f"mcast_addr add 0 {group}")
    assert sent_to(testpmd, 0, ruled, [frame(1, to=group)]) == 1
    assert sent_to(testpmd, 1, ruled, [frame(1, to=group)]) == 0
    assert sent_to(testpmd, 0, ruled, [frame(1, to=stranger)]) == 0
    assert sent_to(testpmd, 1, ruled, [frame(1, to="ff:ff:ff:ff:ff:ff")]) == 1
    testpmd.quit()


def test_vlans(rig, ruled):
    """A VF has the tagged frames of the VLANs that it asked for; a port VLAN takes them off and puts them on."""
    testpmd = rig.testpmd("--forward-mode=rxonly")
    testpmd.ask("vlan set filter on 0")
    testpmd.ask("rx_vlan add 5 0")
    testpmd.ask("start")
    assert sent_to(testpmd, 0, ruled, [frame(n, 100, ruled.mac(0), tag=5) for n in range(3)]) == 3
    assert sent_to(testpmd, 0, ruled, [frame(n, 100, ruled.mac(0), tag=6) for n in range(3)]) == 0
    testpmd.ask("rx_vlan rm 5 0")
    assert sent_to(testpmd, 0, ruled, [frame(n, 100, ruled.mac(0), tag=5) for n in range(3)]) == 0
    testpmd.quit()


def test_large_frames(rig):
    ruled = Ruled(rig, ",mtu=9000")
    large = "--max-pkt-len=9018", "--enable-scatter", "--tx-offloads=0x8000"  # several mbufs a packet
    testpmd = rig.testpmd("--forward-mode=mac", f"--eth-peer=1,{PEER}", *large)
    testpmd.ask("start")
    sent = [frame(n, 9000 - n, ruled.mac(0)) for n in range(50)]
    addresses = bytes.fromhex((PEER + ruled.mac(1)).replace(":", ""))
    assert exchange(ruled.far, ruled.far, sent) == [addresses + data[12:] for data in sent]
    testpmd.quit()


def test_the_pf_restarts_under_it(rig, ruled):
    testpmd = rig.testpmd("--forward-mode=rxonly")
    testpmd.ask("start")
    assert sent_to(testpmd, 0, ruled, [frame(1, to=ruled.mac(0))]) == 1
    ruled.pf.stop()
    testpmd.until("Port 0: reset event")
    testpmd.ask("stop")
    ruled.pf.start()
    ruled.pf.wait_link()
    for command in ("port stop all", "port reset all", "port start all", "start"):
        testpmd.ask(command)
    assert sent_to(testpmd, 0, ruled, [frame(1, to=ruled.mac(0))]) == 1
    testpmd.quit()
