# SPDX-License-Identifier: BSD-3-Clause
"""Linux's ixgbevf on served VFs that a virtual machine was given, while our own PF driver rules on the host."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from hypervisor.frames import EVERYBODY, RAW_FRAMES, Arrivals
from hypervisor.guest import Guest
from hypervisor.lab import TRANSFER, Lab, Nic, digest, patient_ping, pings, soon, transfer
from hypervisor.rulers import vf_set, vf_show

pytestmark = [pytest.mark.vm, pytest.mark.root]

HERE, FIRST, SECOND = "10.9.0.1", "10.9.0.2", "10.9.0.3"  # the host's end of the wire; VF 0, VF 1
CARD = "/sys/bus/pci/devices/0000:01:00.0"
FOLDER = Path(__file__).parent
SNIFF = ("tcpdump", "-n", "-e", "-l", "--immediate-mode", "-i", "t0")
UP = "[ $(cat /sys/class/net/eth0/carrier) = 1 ]"


class Bed:
    """VF 0 is the guest's eth0; VF 1 is eth1 in a network of its own there, so that both can talk."""

    def __init__(self, lab: Lab) -> None:
        self.lab, self.wire = lab, lab.net.namespace("w")
        self.nic: Nic = lab.nic(
            wires={"pf0": "tap:t0", "pf1": "none"}, vfs=2, strict=True, namespace=self.wire
        )
        lab.net.plain(self.wire, "t0", f"{HERE}/24")
        self.host("ip link set t0 mtu 9000")
        self.pf = f"vfio-user:{self.nic.socket('pf0')}"
        self.ruler = lab.ruler(f"{self.pf},vfs=2,mtu=9000")
        self.guest: Guest = lab.guest(
            sockets=[self.nic.socket("pf0.vf0"), self.nic.socket("pf0.vf1")],
            modules=["ixgbevf", "8021q"],
            memory=512,
            host=True,
        )
        self.guest.run(
            "sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1; mkdir -p /var/run;"
            f"ip netns add other; ip link set eth1 netns other; {self.other('ip link set lo up')};"
            f"ip addr add {FIRST}/24 dev eth0; ip link set eth0 up;"
            f"{self.other(f'ip addr add {SECOND}/24 dev eth1')}; {self.other('ip link set eth1 up')}"
        )
        self.arrivals = Arrivals(self.guest, "eth0", self.host, "t0")
        self.settle()

    def host(self, line: str) -> str:
        return self.lab.net.sh(self.wire, line)

    def other(self, line: str) -> str:
        """A line for the guest's other network."""
        return f"/bin/ip netns exec other {line}"

    def vf(self, *words: str) -> None:
        """`dataplane vf set`, of VF 0."""
        vf_set(self.pf, 0, *words)

    def port_vlan(self, vid: int) -> None:
        """Linux needs seconds to see that its VF has to begin again, and sends as before until then. A packet that is sent
        during its reset is lost: wait until the link has gone down and come up."""
        changes = "$(cat /sys/class/net/eth0/carrier_changes)"
        before = int(self.guest.run(f"echo {changes}"))
        self.vf("vlan", str(vid))
        self.guest.until(f"[ {changes} -ge {before + 2} ] && {UP}")

    def shown(self, number: int = 0) -> dict[str, Any]:
        """`dataplane vf show`."""
        return vf_show(self.pf, number, self.lab.folder)

    def settle(self) -> None:
        """VF 0 has its link, and the host hears of it."""
        self.guest.until(UP)
        self.guest.until(soon(HERE))
        self.host(patient_ping(FIRST))

    def ping(self, target: str = HERE, *options: str) -> None:
        self.guest.run(pings(target, *options))


@pytest.fixture(scope="module")
def bed(lab: Lab) -> Bed:
    return Bed(lab)


def test_they_bind_and_have_the_pfs_addresses(bed: Bed) -> None:
    assert bed.guest.run(f"basename $(readlink {CARD}/driver)") == "ixgbevf"
    assert bed.guest.run("cat /sys/class/net/eth0/address") == bed.shown(0)["mac"]
    assert bed.guest.run(bed.other("cat /sys/class/net/eth1/address")) == bed.shown(1)["mac"]
    assert bed.shown(0)["active"] and bed.shown(1)["active"]
    assert "Speed: 10000Mb/s" in bed.guest.run("ethtool eth0")


def test_ping_the_host_and_each_other(bed: Bed) -> None:
    bed.ping(HERE)
    bed.ping(SECOND)
    for target in (FIRST, SECOND):
        bed.host(pings(target))
    bed.guest.run(bed.other(f"/bin/ping -q -c 1 -W 5 {HERE}"))


def test_what_one_vf_says_to_the_other_does_not_reach_the_wire(bed: Bed) -> None:
    sniffer = bed.lab.net.start(bed.wire, *SNIFF, "icmp")
    sniffer.until(lambda: "listening" in sniffer.output(), "listening socket")
    bed.ping(SECOND)
    bed.ping(HERE)  # what it would look like
    sniffer.until(lambda: sniffer.output().count("ICMP echo request") == 5, "pings on the wire")
    sniffer.stop()
    assert f"{FIRST} > {SECOND}" not in sniffer.output()


def test_tcp_both_ways(bed: Bed) -> None:
    transfer(bed.lab, bed.guest, bed.wire, HERE, FIRST, megabytes=4)


def test_tcp_to_the_other_vf(bed: Bed) -> None:
    server = bed.guest.python_line(str(TRANSFER), "serve", "5003")
    bed.guest.begin(bed.other(server), "/tmp/served")
    bed.guest.until("grep -q listening /tmp/served")
    status, said = bed.guest.python(str(TRANSFER), "send", SECOND, "5003", "2", timeout=60)
    assert status == 0, said
    bed.guest.until("[ $(wc -l </tmp/served) = 2 ]")
    assert digest(bed.guest.run("cat /tmp/served")) == digest(said)


def test_vlan_interfaces(bed: Bed) -> None:
    peer = bed.lab.net.start(
        bed.wire, sys.executable, str(FOLDER / "vlan_peer.py"), "answer", "t0", "5", "10.9.5.1"
    )
    peer.until(lambda: "listening" in peer.output(), "listening socket")
    bed.guest.run(
        "ip link add link eth0 name v5 type vlan id 5; ip addr add 10.9.5.2/24 dev v5; ip link set v5 up"
    )
    bed.ping("10.9.5.1")
    peer.until(lambda: peer.output().count("answered 0x0800 in VLAN 5") == 5, "five answers")
    peer.stop()
    mac = bed.shown()["mac"]
    assert bed.arrivals.of(mac, vid=5) == 5
    assert bed.arrivals.of(mac, vid=6) == 0  # it has not asked for that one
    bed.guest.run("ip link del v5")
    assert bed.arrivals.of(mac, vid=5) == 0


def test_multicast_groups(bed: Bed) -> None:
    group = "01:00:5e:01:02:03"
    assert bed.arrivals.of(group) == 0
    bed.guest.run(f"ip maddr add {group} dev eth0")
    assert bed.arrivals.of(group) == 5


def test_mtu(bed: Bed) -> None:
    bed.guest.run("ip link set eth0 mtu 9000")
    bed.settle()
    bed.ping(HERE, "-s", "8972", "-M", "do")
    bed.guest.run("ip link set eth0 mtu 1500")
    bed.ruler.restart(1500)
    bed.settle()
    status, said = bed.guest.attempt("ip link set eth0 mtu 9000")
    assert status != 0, said
    # As under Linux's PF: who was refused receives nothing until it says what it can do with.
    bed.guest.run("ip link set eth0 mtu 1400; ip link set eth0 mtu 1500")
    bed.settle()
    bed.ping()
    bed.ruler.restart()
    bed.settle()


def test_a_mac_change_is_granted(bed: Bed) -> None:
    before = bed.shown()["mac"]
    bed.guest.run("ip link set eth0 address 02:00:00:00:77:01")
    bed.guest.until(soon(HERE))
    assert bed.host(f"ip neigh show {FIRST}").split()[4] == "02:00:00:00:77:01"
    bed.ping()
    bed.guest.run(f"ip link set eth0 address {before}")
    bed.guest.until(soon(HERE))


def test_a_mac_that_the_administrator_gave_stays(bed: Bed) -> None:
    bed.vf("mac", "02:00:00:00:00:11")
    bed.guest.until("[ $(cat /sys/class/net/eth0/address) = 02:00:00:00:00:11 ]")
    bed.settle()
    status, said = bed.guest.attempt("ip link set eth0 address 02:00:00:00:77:02")
    assert status != 0, said
    assert bed.guest.run("cat /sys/class/net/eth0/address") == "02:00:00:00:00:11"
    assert bed.shown()["refused"]
    bed.ping()


def test_the_link_is_the_administrators(bed: Bed) -> None:
    bed.vf("state", "disable")
    bed.guest.until("[ $(cat /sys/class/net/eth0/carrier) = 0 ]")
    bed.vf("state", "auto")
    bed.settle()
    bed.ping()


def test_a_port_vlan_is_not_the_guests_to_see(bed: Bed) -> None:
    peer = bed.lab.net.start(
        bed.wire, sys.executable, str(FOLDER / "vlan_peer.py"), "answer", "t0", "7", "10.9.0.77"
    )
    peer.until(lambda: "listening" in peer.output(), "listening socket")
    bed.port_vlan(7)
    bed.guest.until(soon("10.9.0.77"))
    bed.ping("10.9.0.77")
    assert bed.guest.attempt(f"ping -q -c 2 -i 0.2 -W 1 {HERE}")[0] != 0  # it is not in that VLAN
    bed.port_vlan(0)
    bed.settle()
    peer.stop()


def test_forged_sources_are_dropped_while_the_check_is_on(bed: Bed) -> None:
    batch = 0

    def forged() -> int:
        """How many of five forged frames pass. A frame from the VF's own address follows: it passes, and comes last."""
        nonlocal batch
        batch += 1
        source, stranger = f"02:00:00:66:66:{batch:02x}", "02:00:00:00:55:55"
        sniffer = bed.lab.net.start(bed.wire, *SNIFF, "ether proto 0x88b5")
        sniffer.until(lambda: "listening" in sniffer.output(), "listening socket")
        for sender, target, count in ((source, stranger, "5"), (bed.shown()["mac"], EVERYBODY, "1")):
            status, said = bed.guest.python(str(RAW_FRAMES), "eth0", sender, target, count)
            assert status == 0, said
        sniffer.until(lambda: f"> {EVERYBODY}" in sniffer.output(), "last frame")
        sniffer.stop()
        return sniffer.output().count(f"{source} > {stranger}")

    assert forged() == 0
    bed.vf("spoofchk", "off")
    assert forged() == 5
    bed.vf("spoofchk", "on")
    assert forged() == 0


def test_ethtool_tests_the_vf(bed: Bed) -> None:
    status, said = bed.guest.attempt("ethtool -t eth0 offline", 60)
    assert status == 0, said
    results = dict(re.findall(r"^(\w+ test)\s.*\s(\d+)$", said, re.MULTILINE))
    assert len(results) == 2 and set(results.values()) == {"0"}, said
    bed.settle()
    rx, tx = bed.shown()["rx_good_packets"], bed.shown()["tx_good_packets"]
    assert rx and tx


def test_the_pf_is_reset_under_it(bed: Bed) -> None:
    for _ in range(3):
        bed.ruler.restart()
        bed.settle()
        bed.ping()
        bed.guest.until(bed.other(soon(HERE)))


def test_the_guest_resets_its_vf(bed: Bed) -> None:
    """No message tells ixgbevf of the reset, as on a card: the interface must be brought up again."""
    bed.guest.run(f"echo 1 >{CARD}/reset; ip link set eth0 down; ip link set eth0 up")
    bed.settle()
    bed.ping()
    bed.ping(SECOND)


def test_unbound_and_bound(bed: Bed) -> None:
    bed.guest.run(
        f"echo 0000:01:00.0 >{CARD}/driver/unbind; echo 0000:01:00.0 >/sys/bus/pci/drivers/ixgbevf/bind"
    )
    bed.guest.run(f"ip addr add {FIRST}/24 dev eth0; ip link set eth0 up")
    bed.settle()
    bed.ping()


def test_up_and_down_20_times(bed: Bed) -> None:
    for _ in range(20):
        bed.guest.run("ip link set eth0 down; ip link set eth0 up")
    bed.settle()
    bed.ping()


def test_nobody_complained(bed: Bed) -> None:
    assert bed.nic.findings == []
    said = bed.guest.run("dmesg")
    assert not re.findall(
        r"^.*(?:Tx Unit Hang|transmit queue .* timed out|Hardware Error|BUG|WARNING|Oops).*$", said, re.M
    ), said
