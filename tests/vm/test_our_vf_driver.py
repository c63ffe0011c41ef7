# SPDX-License-Identifier: BSD-3-Clause
"""Our VF driver on the kernel's own VFIO, behind QEMU's VT-d, in a guest that was handed two VFs; our PF driver rules."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypervisor.forwarder import CARDS, LEFT, RIGHT, Forwarder
from hypervisor.lab import Lab, Nic, pings, soon, tcp
from hypervisor.rulers import vf_set, vf_show

pytestmark = [pytest.mark.vm, pytest.mark.root]

ROGUE = str(Path(__file__).with_name("rogue.py"))


class Bed(Forwarder):
    """VF 0 of each port is the guest's.

    An 82599 has no pool that is promiscuous: each VF has the address of the host behind the other, so that frames pass
    as on a wire, with the spoof check on.
    """

    def __init__(self, lab: Lab) -> None:
        super().__init__(lab, "f")
        self.nic: Nic = lab.nic(
            wires={"pf0": "tap:t0", "pf1": "tap:t1"}, vfs=1, strict=True, namespace=self.middle
        )
        self.pfs = [f"vfio-user:{self.nic.socket(name)}" for name in ("pf0", "pf1")]
        self.ruler = lab.ruler(*(f"{pf},vfs=1" for pf in self.pfs))
        left, right = (vf_show(pf, 0, lab.folder)["mac"] for pf in self.pfs)
        for tap, mac in (("t0", right), ("t1", left)):
            lab.net.sh(self.middle, f"ip link set {tap} address {mac}")
        self.plug()
        self.guest = lab.guest(
            sockets=[self.nic.socket("pf0.vf0"), self.nic.socket("pf1.vf0")],
            modules=["ixgbevf", "vfio-pci", "vfio_iommu_type1"],
            memory=768,
            iommu=True,
            hugepages=96,
            host=True,
        )


@pytest.fixture(scope="module")
def bed(lab: Lab) -> Bed:
    return Bed(lab)


def test_vfs_are_listed_and_bound(bed: Bed) -> None:
    said = bed.dataplane("bind", *CARDS)
    assert said.count("from ixgbevf to vfio-pci; to undo it: sudo dataplane unbind") == 2
    listed = " ".join(bed.dataplane("ports").split())
    for card in CARDS:
        assert f"{card} 82599 virtual function vfio-pci can be opened" in listed, listed


def test_it_forwards_pings_and_tcp(bed: Bed) -> None:
    bed.forward()
    bed.lab.net.sh(bed.left, pings(RIGHT))
    bed.lab.net.sh(bed.right, pings(LEFT, "-s", "1400"))
    tcp(bed.lab, bed.left, bed.right, RIGHT, megabytes=2)
    assert all(vf_show(pf, 0, bed.lab.folder)["active"] for pf in bed.pfs)
    report = bed.stop()
    assert report["ok"]
    segments = 2 * (1 << 20) // 1448  # one way; the other has their acknowledgements
    received = [report["ports"][card]["rx_good_packets"] for card in CARDS]
    assert received[0] >= segments and received[1] >= 50, report["ports"]
    assert sum(report["drops"].values()) == 0


def test_pf_and_vf_go_and_come_back(bed: Bed) -> None:
    """The PFs are reset under it, and its link is the administrator's; then it is killed, and VFIO resets the VFs."""
    bed.forward()
    bed.ruler.restart()
    bed.ping_soon()
    bed.lab.net.sh(bed.left, pings(RIGHT))
    vf_set(bed.pfs[0], 0, "state", "disable")
    bed.lab.net.sh(
        bed.left, f"for n in $(seq 60); do ping -q -c 1 -W 1 {RIGHT} >/dev/null || exit 0; done; exit 1"
    )
    vf_set(bed.pfs[0], 0, "state", "auto")
    bed.ping_soon()
    bed.guest.signal("KILL", "dataplane l2fwd")
    bed.ended("137")
    bed.forward()
    bed.lab.net.sh(bed.left, pings(RIGHT))
    bed.stop()
    assert bed.nic.findings == []


def test_dma_outside_the_map_is_a_fault_and_nothing_else(bed: Bed) -> None:
    status, said = bed.guest.python(ROGUE, CARDS[0])
    assert (status, said.splitlines()[-1]) == (0, "blocked"), said
    told = [line for line in bed.nic.findings if "0x3000000000" in line]
    assert len(told) == 1 and "Tx descriptor" in told[0], bed.nic.findings
    bed.forward()
    bed.lab.net.sh(bed.left, pings(RIGHT))
    bed.stop()


def test_unbind_gives_the_vfs_back_to_the_kernel(bed: Bed) -> None:
    said = bed.dataplane("unbind", *CARDS)
    assert said.count("from vfio-pci to ixgbevf") == 2
    bed.guest.run("ip addr add 10.8.0.9/24 dev eth0; ip link set eth0 up")
    bed.guest.until(soon(LEFT))
