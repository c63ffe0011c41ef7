# SPDX-License-Identifier: BSD-3-Clause
"""PF and VFs on the strict model, each with its threads: how they come, go, and find each other again."""

from __future__ import annotations

import threading
import time

import pytest
from stopwatch import Stopwatch

from dataplane import pmd
from dataplane.errors import DeviceError
from dataplane.pmd.ixgbe.control import call
from dataplane.pmd.ixgbe.errors import PfNotUp, VfsInUse
from dataplane.port import Link
from tests.pmd.ixgbe.fleet import fleet, until


@pytest.mark.parametrize("vfs", [1, 31, pytest.param(63, marks=pytest.mark.slow)])
def test_every_vf_comes_up(vfs: int) -> None:
    with fleet(vfs) as made:
        ports = made.open(*range(vfs))
        assert len({port.mac for port in ports} | {made.pf.mac}) == vfs + 1
        for port in ports:
            assert port.wait_link(5.0) == Link(True, 10_000)
            assert port.info.max_rx_queues == (4 if vfs < 32 else 2)
        assert [row["active"] for row in call("model0", "show")] == [True] * vfs


def test_addresses_are_the_same_every_time() -> None:
    seen = []
    for _ in range(2):
        with fleet(2) as made:
            seen.append([port.mac for port in made.open(0, 1)])
    assert seen[0] == seen[1]


def test_a_vf_before_its_pf() -> None:
    watch = Stopwatch()
    with pytest.raises(DeviceError, match=r"its PF is not up: open the PF first.*\(waited 1 s\)"):
        pmd.probe("model0.vf0,pf_wait=1")
    assert watch.wall >= 1.0
    assert watch.own < 3.0
    with pmd.probe("model0,manner=strict,vfs=1"):  # open, not started: its VFs are not served
        with pytest.raises(PfNotUp, match=r"its PF is not up.*RSTI still 1.*start the PF first"):
            pmd.probe("model0.vf0,pf_wait=0")
        with pytest.raises(DeviceError, match=r"model0 has 1 VFs .*with enough VFs"):
            pmd.probe("model0.vf1,pf_wait=0")


def test_a_vf_that_waits_for_its_pf() -> None:
    opened: list[str] = []

    def early() -> None:
        with pmd.probe("model0.vf0,pf_wait=10") as port:
            opened.append(port.mac)

    thread = threading.Thread(target=early)
    thread.start()
    time.sleep(0.2)
    with fleet(1):
        thread.join(10)
        assert not thread.is_alive()
    assert opened


def test_a_pf_that_is_started_again() -> None:
    with fleet(4) as made:
        ports = made.open(0, 3)
        for n in range(5):
            made.pf.stop()
            until(lambda: not any(port.link.up for port in ports))
            made.pf.start()
            assert until(lambda: all(port.link.up for port in ports)) < 1.0
            assert [port.recoveries for port in ports] == [n + 1] * 2


def test_a_pf_that_does_not_go_and_one_that_is_made_to() -> None:
    with fleet(2) as made:
        (port,) = made.open(1)
        with pytest.raises(VfsInUse, match=rf"VF 1 \({port.mac}\) is in use"):
            made.pf.close()
        assert port.link.up
        made.pf.close(force=True)
        until(lambda: not port.link.up)
        assert "PF is not up" in port.why_no_link()
        with fleet(2, pool=made.pool):
            until(lambda: port.link.up)
            assert port.recoveries == 1
            port.close()


def test_policy_reaches_a_running_vf() -> None:
    with fleet(2) as made:
        a, b = made.open(0, 1)
        call("model0", "set", vf=0, settings={"mac": "02:aa:00:00:00:01", "vlan": "7"})
        until(lambda: a.mac == "02:aa:00:00:00:01" and a.link.up and a.hidden_vlan)
        call("model0", "set", vf=0, settings={"state": "disable"})
        until(lambda: not a.link.up)
        assert b.link.up
        call("model0", "set", vf=0, settings={"state": "auto", "vlan": "0", "mac": "00:00:00:00:00:00"})
        until(lambda: a.link.up and not a.hidden_vlan and a.mac != "02:aa:00:00:00:01")
        assert b.recoveries == 0, "what is decided about one is nothing to another"


def test_stepped_by_its_users() -> None:
    """One core: the card runs while a caller waits, the service in its thread."""
    with fleet(2, ",thread=off") as made:
        a, b = made.open(0, 1)
        assert a.wait_link(5.0).up
        assert b.wait_link(5.0).up
        b.vlans.add(5)
        b.multicast.set(["01:00:5e:00:00:01"])
        rows = call("model0", "show")
        assert rows[1]["vlans"] == [0, 5]
