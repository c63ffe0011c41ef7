# SPDX-License-Identifier: BSD-3-Clause
"""What it costs a guest that its writes to registers wait until they have been done: Linux's ixgbe, with and without.

`POSTED_TURNS=3 pytest -s tests/vm/test_posted_writes.py`, as root, prints packets a second (docs/served-nic.md has them).
"""

from __future__ import annotations

import os
import re
import statistics
from typing import NamedTuple

import pytest
from hypervisor.guest import Guest
from hypervisor.lab import Lab

pytestmark = [pytest.mark.vm, pytest.mark.root]

PACKETS = 12_800  # in whole bursts
TURNS = int(os.environ.get("POSTED_TURNS", "1"))  # one shows that both work, figures take three
STRANGER = "02:00:00:00:00:99"  # what comes back for it passes no filter
POSTED, WAITING = "eth0", "eth1"
UP = f"[ $(cat /sys/class/net/{POSTED}/carrier)$(cat /sys/class/net/{WAITING}/carrier) = 11 ]"


class Load(NamedTuple):
    """The frames that pktgen sends, and the driver's work for them."""

    name: str
    burst: int  # packets for each write of the tail
    comes_back: bool  # to the sender, which receives it


LOADS = (
    Load("sent, a write for each", 1, False),
    Load("sent, a write for 32", 32, False),
    Load("sent and received, a write for each sent", 1, True),
)


def generate(guest: Guest, interface: str, load: Load) -> float:
    """Packets a second of Linux's pktgen. AssertionError unless the card sends as many as it was given."""
    own = guest.run(f"cat /sys/class/net/{interface}/address")
    words = [f"count {PACKETS}", "delay 0", "pkt_size 60", "clone_skb 64", f"burst {load.burst}"]
    words += ["dst 10.9.9.9", f"dst_mac {own if load.comes_back else STRANGER}"]
    before = sent(guest, interface)
    guest.run("echo rem_device_all >/proc/net/pktgen/kpktgend_0")
    guest.until("ls /proc/net/pktgen; ! ls /proc/net/pktgen | grep eth")  # its thread does that when it wakes
    guest.run(
        f"cd /proc/net/pktgen && echo add_device {interface} >kpktgend_0 && "
        + "".join(f"echo {word} >{interface} && " for word in words)
        + "echo start >pgctrl",
        timeout=120,
    )
    shown = f"cat /proc/net/pktgen/{interface}"
    # "start" returns early where the guest's CPUs are so busy that pktgen's thread has not begun yet.
    result = guest.until(f"{shown} | grep -q 'Result: OK' && {shown}", 120)
    found = re.search(r"Result: OK: .*?, (\d+) \(60byte,0frags\)\s+(\d+)pps", result)
    assert found and PACKETS <= int(found[1]) < PACKETS + load.burst, result
    counted = f"ethtool -S {interface} | sed -n 's/^ *tx_pkts_nic: //p'"
    guest.until(f"[ $({counted}) -ge {before + int(found[1])} ]")
    return float(found[2])


def sent(guest: Guest, interface: str) -> int:
    """Packets that the card has sent, as it counts them."""
    return int(guest.run(f"ethtool -S {interface} | sed -n 's/^ *tx_pkts_nic: //p'"))


@pytest.fixture(scope="module")
def guest(lab: Lab) -> Guest:
    """One guest with both ports of a card, each on a wire that comes back: on one of them writes wait."""
    nic = lab.nic(wires={"pf0": "loop", "pf1": "loop"})
    sockets = [nic.socket("pf0"), nic.socket("pf1")]
    guest = lab.guest(sockets=sockets, waiting=sockets[1:], modules=["ixgbe", "pktgen"], memory=512, cpus=2)
    guest.run("sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1")
    guest.run(f"ip link set {POSTED} up; ip link set {WAITING} up")
    guest.until(UP)
    return guest


@pytest.mark.parametrize("load", LOADS, ids=lambda load: load.name)
def test_what_waiting_for_writes_costs(guest: Guest, load: Load) -> None:
    """By turns, in one guest. How much it costs is printed, not judged: where CPUs are busy each write waits for one."""
    rates: dict[str, list[float]] = {POSTED: [], WAITING: []}
    for turn in range(TURNS):
        for interface in (POSTED, WAITING) if turn % 2 else (WAITING, POSTED):
            rates[interface].append(generate(guest, interface, load))
    posted, waiting = (statistics.median(rates[interface]) for interface in (POSTED, WAITING))
    print(
        f"\nLinux {guest.kernel}, {load.name}: {posted:,.0f} packets a second with posted writes, {waiting:,.0f} without "
        f"({waiting / posted:.2f})"
    )
