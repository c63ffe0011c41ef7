# SPDX-License-Identifier: BSD-3-Clause
"""One guest: Linux's ixgbe rules the PF, ixgbevf drives VF 0, and our driver VF 1, over VFIO behind QEMU's VT-d."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypervisor.guest import ROOT, Guest
from hypervisor.lab import TRANSFER, Lab, Nic, digest, pings, soon

from dataplane.apps.command.qemu_args import device_args

pytestmark = [pytest.mark.vm, pytest.mark.root]

WIRE, PF, THEIRS, OURS = "10.7.0.1", "10.7.0.2", "10.7.0.3", "10.7.0.4"
VF0, VF1 = "0000:01:10.0", "0000:01:10.2"
FOLDER = Path(__file__).parent
API_1_3 = 4  # by its number on the wire
GIVEN = "02:00:00:00:00:11"  # the address that the PF's administrator gives VF 1,
WANTED = "02:00:00:00:77:01"  # and what its driver would rather have


def recipe() -> str:
    """The commands in docs/served-nic.md by which the guest makes two VFs."""
    blocks = re.findall(r"^```\w*\n(.*?)^```$", (ROOT / "docs/served-nic.md").read_text(), re.M | re.S)
    (found,) = (block for block in blocks if "sriov_numvfs" in block)
    return str(found)


class Bed:
    """Three networks in the guest: the PF's, `theirs` with ixgbevf's VF, `ours` with a tap behind our driver's."""

    def __init__(self, lab: Lab) -> None:
        self.lab, self.wire = lab, lab.net.namespace("o")
        self.nic: Nic = lab.nic(
            wires={"pf0": "tap:t0", "pf1": "none"}, vfs=2, strict=True, namespace=self.wire
        )
        lab.net.plain(self.wire, "t0", f"{WIRE}/24")
        self.host("ip link set t0 mtu 9000")
        self.guest: Guest = lab.guest(
            devices=device_args(self.nic.folder, ["pf0", "pf0.vf0", "pf0.vf1"]),
            modules=["ixgbe", "ixgbevf", "vfio-pci", "vfio_iommu_type1", "tun", "8021q"],
            memory=512,
            iommu=True,
            hugepages=32,
            host=True,
        )
        self.guest.run(
            "sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1; mkdir -p /var/run;"
            f"ip addr add {PF}/24 dev eth0; ip link set eth0 up; ip netns add theirs; ip netns add ours; mkfifo /host/tmp/in"
        )
        self.answers = 0

    def host(self, line: str) -> str:
        return self.lab.net.sh(self.wire, line)

    def theirs(self, line: str) -> str:
        """A line for ixgbevf's network."""
        return f"/bin/ip netns exec theirs {line}"

    def ours(self, line: str) -> str:
        """A line for our driver's."""
        return f"/bin/ip netns exec ours {line}"

    def open(self) -> None:
        """Our driver takes VF 1."""
        tenant = self.guest.python_line(str(FOLDER / "tenant.py"), VF1, "ours", "/tmp/status")
        self.guest.begin(f"exec 9<>/host/tmp/in; {self.ours(tenant)} <&9", "/tmp/tenant", "/tmp/ended")
        self.guest.until("grep -q running /tmp/tenant || [ -s /tmp/ended ]", 150)
        assert "running" in self.said(), self.said()
        self.guest.run(f"ip -n ours addr add {OURS}/24 dev ours")

    def said(self) -> str:
        return self.guest.run("cat /tmp/tenant")

    def ask(self, *words: Any) -> str:
        """Have the driver do something; its answer."""
        self.answers += 1
        self.guest.run(f"echo '{json.dumps(words)}' >/host/tmp/in")
        last = f"grep '^done$\\|^refused' /tmp/tenant | sed -n '{self.answers}p' | grep ."
        return self.guest.until(last, 60)

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.guest.run("cat /host/tmp/status"))
        return found

    def until(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """How things stand once they do as they should."""
        for _ in range(200):
            status = self.status()
            if condition(status):
                return status
            self.guest.run("sleep 0.1")
        raise AssertionError(f"{status}\n{self.said()}")

    def link(self) -> str:
        """The line of VF 1 in `ip link` of Linux's PF."""
        found = re.search(r"^ *vf 1 .*$", self.guest.run("ip link show eth0"), re.MULTILINE)
        assert found
        return found[0]

    def rule(self, words: str) -> None:
        self.guest.run(f"ip link set eth0 vf 1 {words}")

    def settle(self, target: str = WIRE) -> None:
        """Our VF has its link, and `target` is reached."""
        self.until(lambda status: status["link"])
        self.guest.until(self.ours(soon(target)), 60)

    def ping(self, target: str = WIRE, *options: str) -> None:
        """Three pings from our network, none of which may be lost."""
        one = self.ours(" ".join(["/bin/ping -q -c 1 -W 5", *options, target]))
        self.guest.run(f"for n in 1 2 3; do {one} >/tmp/ping || {{ cat /tmp/ping; exit 1; }}; done")


@pytest.fixture(scope="module")
def bed(lab: Lab) -> Bed:
    return Bed(lab)


def test_linux_makes_two_vfs(bed: Bed) -> None:
    bed.guest.run(recipe())
    for vf in (VF0, VF1):
        assert bed.guest.run(f"basename $(readlink /sys/bus/pci/devices/{vf}/driver)") == "ixgbevf"
    bed.guest.run(
        f"ip link set eth1 netns theirs; ip -n theirs addr add {THEIRS}/24 dev eth1; ip -n theirs link set eth1 up"
    )
    bed.guest.until(bed.theirs(soon(WIRE)), 30)


def test_ours_agrees_with_linuxs_pf(bed: Bed) -> None:
    """The PF leaves the address to it: RESET is answered with a NACK."""
    bed.open()
    assert f"{VF1}: from ixgbevf to vfio-pci" in bed.said()
    found = bed.until(lambda status: status["link"])
    assert (found["api"], found["queues"], found["speed"]) == (API_1_3, 4, 10_000)
    assert f"link/ether {found['mac']} " in bed.link()


def test_ping_the_wire_the_pf_and_the_other_vf(bed: Bed) -> None:
    for target in (WIRE, PF, THEIRS):
        bed.settle(target)
        bed.ping(target)
    bed.host(pings(OURS, count=3))
    bed.guest.run(bed.theirs(f"/bin/ping -q -c 1 -W 5 {OURS}"))


def test_tcp_to_the_wire_and_to_the_other_vf(bed: Bed) -> None:
    sent = digest(bed.guest.run("head -c 2000000 /dev/urandom >/tmp/sent; sha256sum /tmp/sent"))
    server = bed.lab.net.start(bed.wire, sys.executable, str(TRANSFER), "serve", "5001")
    server.until(lambda: "listening" in server.output(), "listening socket")
    bed.guest.run(bed.ours(f"/bin/busybox nc {WIRE} 5001 </tmp/sent"), 90)
    assert server.wait(60) == 0, server.output()
    assert digest(server.output()) == sent

    sink = bed.theirs("/bin/busybox nc -l -p 5002")
    bed.guest.run(f"mkfifo /tmp/hold; (exec 8<>/tmp/hold; {sink} <&8 | sha256sum >/tmp/got) & echo")
    bed.guest.until(bed.theirs("/bin/busybox netstat -tln | grep 5002"))
    bed.guest.run(bed.ours(f"/bin/busybox nc {THEIRS} 5002 </tmp/sent"), 90)
    bed.guest.until("[ -s /tmp/got ]", 60)
    assert digest(bed.guest.run("cat /tmp/got")) == sent


def test_an_address_of_its_own_is_granted(bed: Bed) -> None:
    assert bed.ask("mac", WANTED) == "done"
    assert f"link/ether {WANTED} " in bed.link()
    bed.settle()


def test_the_administrators_address(bed: Bed) -> None:
    """Linux's PF logs, when the address is set, that the VF's driver must be loaded again."""
    bed.rule(f"mac {GIVEN}")
    assert bed.ask("begin") == "done"
    bed.until(lambda status: status["mac"] == GIVEN)  # and not the one that it had asked for
    bed.settle()
    assert "refused: 0000:01:10.2: the PF refuses SET_MAC_ADDR" in bed.ask("mac", "02:00:00:00:77:02")
    assert bed.status()["mac"] == GIVEN
    bed.ping()


def test_spoofchk(bed: Bed) -> None:
    forged = "02:00:00:00:66:66"
    sniffer = bed.lab.net.start(bed.wire, "tcpdump", "-n", "-l", "-i", "t0", "ether", "src", forged)
    sniffer.until(lambda: "listening" in sniffer.output(), "listening socket")
    # Linux's PF reads the count once a second, so five frames may be two lines of its log.
    count = "n=0; for k in $(dmesg | sed -n 's/.* \\([0-9]*\\) Spoofed packets detected.*/\\1/p'); do n=$((n + k)); done"
    before = int(bed.guest.run(f"{count}; echo $n"))
    assert bed.ask("forge", forged, "02:00:00:00:55:55", 5) == "done"
    bed.guest.until(f"{count}; [ $n = {before + 5} ]")
    assert forged not in sniffer.output()
    bed.rule("spoofchk off")
    assert bed.ask("forge", forged, "02:00:00:00:55:55", 5) == "done"
    sniffer.until(lambda: sniffer.output().count(f"{forged} >") == 5, "forged frames")
    bed.rule("spoofchk on")
    sniffer.stop()


def test_state(bed: Bed) -> None:
    bed.rule("state disable")
    bed.until(lambda status: not status["link"])
    bed.rule("state auto")
    bed.settle()
    bed.ping()


def test_trust(bed: Bed) -> None:
    """Who is trusted gets every group and may choose an address; what it chose before the administrator is forgotten."""
    assert bed.ask("allmulticast", True) == "done"
    assert not bed.status()["allmulticast"]
    bed.rule("trust on")
    bed.until(lambda status: status["allmulticast"] and status["link"] and status["mac"] == GIVEN)
    assert bed.ask("mac", WANTED) == "done"
    assert bed.status()["mac"] == WANTED
    assert bed.ask("mac", GIVEN) == "done"
    bed.rule("trust off")
    bed.until(lambda status: not status["allmulticast"] and status["link"] and status["mac"] == GIVEN)
    assert bed.ask("allmulticast", False) == "done"
    bed.ping()


def test_multicast_groups(bed: Bed) -> None:
    bed.host("ip route replace 239.0.0.0/8 dev t0")

    def received() -> int:
        before = bed.status()["rx_multicast_packets"]
        bed.host("ping -q -c 5 -i 0.05 -W 0.2 239.1.2.3 || true")
        bed.settle()  # what came before this ping has come
        assert bed.ask("allmulticast", False) == "done"  # as it was, and with it the counts of now
        return int(bed.status()["rx_multicast_packets"] - before)

    assert received() == 0
    assert bed.ask("multicast.set", ["01:00:5e:01:02:03"]) == "done"
    assert received() == 5


def test_a_vlan_of_its_own(bed: Bed) -> None:
    peer = bed.lab.net.start(
        bed.wire, sys.executable, str(FOLDER / "vlan_peer.py"), "answer", "t0", "5", "10.7.5.1"
    )
    peer.until(lambda: "listening" in peer.output(), "listening socket")
    assert bed.ask("vlans.add", 5) == "done"
    bed.guest.run(
        "ip -n ours link add link ours name v5 type vlan id 5;"
        "ip -n ours addr add 10.7.5.2/24 dev v5; ip -n ours link set v5 up"
    )
    bed.ping("10.7.5.1")
    peer.until(lambda: peer.output().count("answered 0x0800 in VLAN 5") == 3, "three answers")
    bed.guest.run("ip -n ours link del v5")
    peer.stop()


def test_a_port_vlan(bed: Bed) -> None:
    """Linux's PF does not notify the VF: a VF that was up must restart, as with the address."""
    peer = bed.lab.net.start(
        bed.wire, sys.executable, str(FOLDER / "vlan_peer.py"), "answer", "t0", "7", "10.7.0.77"
    )
    peer.until(lambda: "listening" in peer.output(), "listening socket")
    bed.rule("vlan 7")
    assert bed.ask("begin") == "done"
    bed.until(lambda status: status["link"] and status["hidden_vlan"])
    bed.ping("10.7.0.77")
    assert bed.guest.attempt(bed.ours(f"/bin/ping -q -c 1 -W 1 {WIRE}"))[0] != 0  # it is not in that VLAN
    bed.rule("vlan 0")
    assert bed.ask("begin") == "done"
    bed.settle()
    peer.stop()


def test_jumbo_frames_come_with_the_pfs(bed: Bed) -> None:
    assert "an MTU of 9000 is more than its PF lets it have" in bed.ask("begin", 9000)
    bed.guest.run("ip link set eth0 mtu 9000")
    assert bed.ask("begin", 9000) == "done"
    bed.guest.run("ip -n ours link set ours mtu 9000")
    bed.settle()
    bed.ping(WIRE, "-s 8972 -M do")
    bed.guest.run("ip -n ours link set ours mtu 1500; ip link set eth0 mtu 1500")
    assert bed.ask("begin") == "done"
    bed.settle()


def test_the_pf_goes_down_and_up(bed: Bed) -> None:
    before = bed.status()["vf_recoveries"]
    bed.guest.run("ip link set eth0 down")
    bed.until(lambda status: not status["link"])
    bed.guest.run("ip link set eth0 up")
    bed.settle()
    assert bed.status()["vf_recoveries"] > before
    assert bed.status()["mac"] == GIVEN
    bed.ping()


def test_ours_goes_and_linuxs_vfs_end(bed: Bed) -> None:
    bed.guest.run("echo '[\"quit\"]' >/host/tmp/in")
    bed.guest.until("[ -s /tmp/ended ]", 60)
    assert bed.guest.run("cat /tmp/ended") == "0", bed.said()
    assert f"{VF1}: from vfio-pci to ixgbevf" in bed.said()
    bed.guest.until(f"grep {GIVEN} /sys/class/net/eth*/address")
    bed.guest.run("echo 0 >/sys/bus/pci/devices/0000:01:00.0/sriov_numvfs")
    bed.guest.until(soon(WIRE))


# What Linux's ixgbevf may do while its PF resets: it sends requests and sets up queues without a look at RSTI.
DURING_A_RESET = re.compile(r"pf0\.vf0: .*(the PF is in reset \(RSTI\)|the VF's pool has 0 queues)")


def test_nobody_complained(bed: Bed) -> None:
    assert [each for each in bed.nic.findings if not DURING_A_RESET.match(each)] == []
    said = bed.guest.run("dmesg")
    assert not re.findall(
        r"^.*(?:DMAR:.*fault|Tx Unit Hang|transmit queue .* timed out|Hardware Error|BUG|WARNING|Oops).*$",
        said,
        re.M,
    ), said
