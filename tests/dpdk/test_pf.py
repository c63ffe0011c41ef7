# SPDX-License-Identifier: BSD-3-Clause
"""DPDK's net_ixgbe, unmodified, on a strict card of the model; our driver at the other ends of its wires."""

from __future__ import annotations

import signal
import time

import pytest
from dpdkrig import exchange, frames, receive_all
from modelrig import frame
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from dataplane.byhand import send
from dataplane.pmd.model.fault import plug, unplug

MACS = bytes.fromhex("028259900000"), bytes.fromhex("028259900001")  # of model0 and model1


@pytest.fixture
def ends(rig):
    """testpmd's ports 0 and 1 are model0 and model1; model2 and model3 are at the other ends of their wires."""
    rig.plug_in("model0,manner=strict,wire=model2", "model1,wire=model3")
    return rig.port("model2,promiscuous=on"), rig.port("model3,promiscuous=on")


def test_bring_up(rig, ends):
    testpmd = rig.testpmd()
    for port, mac in enumerate(MACS):
        info = testpmd.ask(f"show port info {port}")
        assert f"MAC address: {mac.hex(':').upper()}" in info
        assert "Link status: up" in info and "Link speed: 10 Gbps" in info
        assert "Driver name: net_ixgbe" in info
        assert "Firmware-version: " in info
    testpmd.quit()


def test_io(rig, ends):
    near, far = ends
    testpmd = rig.testpmd()
    testpmd.ask("start")
    sent = frames(2000)
    assert exchange(near, far, sent) == sent
    assert exchange(far, near, sent) == sent
    testpmd.quit()


def test_macswap(rig, ends):
    near, far = ends
    testpmd = rig.testpmd("--forward-mode=macswap")
    testpmd.ask("start")
    sent = frames(1000)
    assert exchange(near, far, sent) == [data[6:12] + data[:6] + data[12:] for data in sent]
    testpmd.quit()


def test_rxonly_counts_what_came(rig, ends):
    """The counters that DPDK reads from the chip equal the frames that were sent, by kind and by size."""
    near, _ = ends
    testpmd = rig.testpmd("--forward-mode=rxonly")
    testpmd.ask("start")
    sent = frames(500) + frames(30, to="ff:ff:ff:ff:ff:ff") + frames(20, to="01:00:5e:00:00:01")
    before = near.xstats()
    for at in range(0, len(sent), 50):
        assert send(near.tx(0), sent[at : at + 50], near.mempool, timeout=2.0) == 50
        time.sleep(0.01)
    time.sleep(0.3)
    counts, details, ours = testpmd.counts(0), testpmd.xstats(0), near.xstats()
    with_fcs = [len(data) + 4 for data in sent]
    assert counts["RX-packets"] == len(sent) == ours["tx_good_packets"] - before["tx_good_packets"]
    assert counts["RX-bytes"] == sum(map(len, sent))
    assert counts["RX-missed"] == counts["RX-errors"] == counts["RX-nombuf"] == 0
    assert details["rx_total_packets"] == details["rx_q0_packets"] == len(sent)
    assert details["rx_broadcast_packets"] == 30 and details["rx_multicast_packets"] == 20
    bins = [64, 127, 255, 511, 1023, 1 << 16]
    wanted = [
        sum(low < size <= high for size in with_fcs) for low, high in zip([0, *bins], bins, strict=False)
    ]
    names = ["64", "65_to_127", "128_to_255", "256_to_511", "512_to_1023", "1024_to_max"]
    assert [details[f"rx_size_{name}_packets"] for name in names] == wanted
    testpmd.quit()


def test_txonly_sends_what_it_counts(rig, ends):
    """Every packet that testpmd counts arrives, unharmed: addresses, lengths and checksums as testpmd fills them in."""
    near, far = ends
    testpmd = rig.testpmd("--forward-mode=txonly", "--txpkts=128")
    testpmd.ask("start")
    got = {port: receive_all(port, 400) for port in (near, far)}
    testpmd.ask("stop")
    for number, port in enumerate((near, far)):
        got[port] += receive_all(port)
        assert testpmd.counts(number)["TX-packets"] == len(got[port])
        for data in (got[port][0], got[port][-1]):
            packet = Ether(data)
            assert len(data) == 128 and bytes.fromhex(packet.src.replace(":", "")) == MACS[number]
            assert packet[IP].len == 114 and packet[UDP].len == 94
            checksum = packet[IP].chksum
            del packet[IP].chksum
            assert Ether(bytes(packet))[IP].chksum == checksum
        # All frames are equal, except for the low byte of the source address and the checksum, which testpmd varies.
        assert len({data[:24] + data[30:] for data in got[port]}) == 1
    testpmd.quit()


def test_the_link_goes_and_comes(rig, ends):
    """By interrupt: testpmd polls nothing."""
    testpmd = rig.testpmd()
    function = rig.slots[0].function
    unplug(function.card, 0)
    testpmd.until("Port 0: link state change event")
    assert "Link status: down" in testpmd.ask("show port info 0")
    plug(function.card, 0)
    testpmd.until("Port 0: link state change event")
    assert "Link status: up" in testpmd.ask("show port info 0")
    testpmd.quit()


def test_restarts(rig, ends):
    near, far = ends
    testpmd = rig.testpmd()
    for number in range(3):
        testpmd.ask("start")
        sent = frames(100)
        assert exchange(near, far, sent) == sent, f"after {number} restarts"
        testpmd.ask("stop")
        testpmd.ask("port stop all")
        testpmd.ask("port start all")
    testpmd.quit()


def test_killed_and_started_again(rig, ends):
    """The device reaches no memory of a program that is gone, and works for the next one."""
    near, far = ends
    for how in (signal.SIGKILL, None):
        testpmd = rig.testpmd()
        testpmd.ask("start")
        sent = frames(200)
        assert exchange(near, far, sent) == sent
        if how is None:
            testpmd.quit()
        else:
            testpmd.kill()
            time.sleep(0.2)
            assert all(slot.function.chip.engine.domain.mappings == [] for slot in rig.slots)
            send(near.tx(0), sent[:32], near.mempool)  # no driver receives them
            time.sleep(0.1)


def test_filters(rig, ends):
    """Without promiscuous mode: what is ours, broadcast, and the addresses and groups that were added."""
    near, _ = ends
    testpmd = rig.testpmd("--forward-mode=rxonly")
    testpmd.ask("set promisc 0 off")
    testpmd.ask("set allmulti 0 off")
    testpmd.ask("mac_addr add 0 02:11:22:33:44:55")
    testpmd.ask("mcast_addr add 0 01:00:5e:01:02:03")
    testpmd.ask("start")
    wanted = [MACS[0].hex(":"), "ff:ff:ff:ff:ff:ff", "02:11:22:33:44:55", "01:00:5e:01:02:03"]
    others = ["02:11:22:33:44:56", MACS[1].hex(":"), "01:00:5e:7f:00:01"]
    testpmd.clear()
    for to in wanted + others:
        send(near.tx(0), [frame(n, to=to) for n in range(4)], near.mempool)
    time.sleep(0.3)
    assert testpmd.counts(0)["RX-packets"] == 4 * len(wanted)
    testpmd.ask("mac_addr remove 0 02:11:22:33:44:55")
    testpmd.clear()
    send(near.tx(0), [frame(n, to="02:11:22:33:44:55") for n in range(4)], near.mempool)
    time.sleep(0.3)
    assert testpmd.counts(0)["RX-packets"] == 0
    testpmd.quit()
