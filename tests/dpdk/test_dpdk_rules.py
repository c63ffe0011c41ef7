# SPDX-License-Identifier: BSD-3-Clause
"""DPDK's net_ixgbe as a PF that rules over VFs: our VF driver on them, on a strict card of the model."""

from __future__ import annotations

import pytest
from dpdkrig import exchange, receive_all
from modelrig import frame

from dataplane.byhand import send
from dataplane.errors import PortError

PEER = "02:00:00:00:99:01"


class Under:
    """testpmd is the PF on model0 and has two VFs; `far` is at the other end of its wire."""

    def __init__(self, rig):
        pf = rig.function("model0,manner=strict,wire=model2")
        pf.set_vfs(2)
        rig.plug_in(pf)
        self.far = rig.port("model2,promiscuous=on")
        self.testpmd = rig.testpmd("--forward-mode=rxonly")
        self.testpmd.ask("start")
        self.vfs = [rig.port(f"model0.vf{number}") for number in range(2)]
        for vf in self.vfs:
            vf.wait_link()


@pytest.fixture
def under(rig):
    return Under(rig)


def from_vf(vf, data, to=PEER):
    """The same frame as that VF may send it."""
    return bytes.fromhex((to + vf.mac).replace(":", "")) + data[12:]


def arrives(sender, data, receiver):
    send(sender.tx(0), [data], sender.mempool)
    got = receive_all(receiver, 1)
    assert got in ([], [data])
    return got == [data]


def test_traffic_with_the_wire(under):
    vf, far = under.vfs[0], under.far
    sent = [frame(n, 60 + n * 37 % 1455, vf.mac) for n in range(500)]
    assert exchange(far, vf, sent) == sent
    back = [from_vf(vf, data) for data in sent]
    assert exchange(vf, far, back) == back
    under.testpmd.quit()


def test_traffic_between_vfs(under):
    left, right = under.vfs
    there = [from_vf(left, frame(n, 60 + n), right.mac) for n in range(300)]
    assert exchange(left, right, there) == there
    assert receive_all(under.far, quiet=0.1) == []
    under.testpmd.quit()


def test_what_dpdk_s_pf_grants(under):
    """Another address, a VLAN, a group, and no longer frames: messages of the mailbox, and the filters that it sets."""
    vf, far = under.vfs[0], under.far
    first = vf.mac
    assert arrives(far, frame(1, to="ff:ff:ff:ff:ff:ff"), vf)
    vf.mac = "02:aa:00:00:00:01"
    assert arrives(far, frame(1, to=vf.mac), vf) and not arrives(far, frame(1, to=first), vf)
    vf.vlans.add(7)
    assert arrives(far, frame(1, 100, vf.mac, tag=7), vf) and not arrives(
        far, frame(1, 100, vf.mac, tag=8), vf
    )
    under.testpmd.ask(
        "mcast_addr add 0 01:00:5e:00:00:fb"
    )  # only for its own groups it turns the chip's table on
    vf.multicast.set(["01:00:5e:01:02:03"])
    assert arrives(far, frame(1, to="01:00:5e:01:02:03"), vf)
    vf.stop()
    vf.mtu = 2000
    with pytest.raises(
        PortError, match="refuses SET_LPE 2018"
    ):  # while its own frames are of the standard length
        vf.start()
    under.testpmd.quit()


def test_the_pf_goes_and_comes(under):
    vf, far = under.vfs[0], under.far
    assert arrives(far, frame(1, to=vf.mac), vf)
    under.testpmd.ask("stop")
    under.testpmd.ask("port stop 0")
    under.testpmd.ask("port start 0")
    under.testpmd.ask("start")
    vf.wait_link(10.0)
    assert arrives(far, frame(1, to=vf.mac), vf)
    under.testpmd.quit()
