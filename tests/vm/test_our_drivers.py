# SPDX-License-Identifier: BSD-3-Clause
"""Our PF driver on the kernel's own VFIO (behind QEMU's VT-d) and UIO: in a guest, forwarding between networks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypervisor.forwarder import CARDS, LEFT, RIGHT, Forwarder
from hypervisor.lab import Lab, Nic, pings, soon, tcp

pytestmark = [pytest.mark.vm, pytest.mark.root]

ROGUE = str(Path(__file__).with_name("rogue.py"))


class Bed(Forwarder):
    """Both PFs are the guest's."""

    def __init__(self, lab: Lab, driver: str) -> None:
        super().__init__(lab, driver[0])
        self.driver = driver
        self.nic: Nic = lab.nic(wires={"pf0": "tap:t0", "pf1": "tap:t1"}, strict=True, namespace=self.middle)
        self.plug()
        iommu = driver == "vfio-pci"
        self.guest = lab.guest(
            sockets=[self.nic.socket("pf0"), self.nic.socket("pf1")],
            modules=["ixgbe", "vfio-pci", "vfio_iommu_type1"] if iommu else ["ixgbe", "uio_pci_generic"],
            memory=768,
            iommu=iommu,
            hugepages=96,
            host=True,
        )


@pytest.fixture(scope="module", params=["vfio-pci", "uio_pci_generic"])
def bed(lab: Lab, request: pytest.FixtureRequest) -> Iterator[Bed]:
    made = Bed(lab, request.param)
    yield made
    made.guest.close()
    made.nic.close()


def test_cards_are_listed_and_bound(bed: Bed) -> None:
    assert "first 'sudo dataplane bind 0000:01:00.0'" in bed.dataplane("ports")
    said = bed.dataplane("bind", "--driver", bed.driver, *CARDS)
    assert said.count(f"from ixgbe to {bed.driver}; to undo it: sudo dataplane unbind") == 2
    listed = bed.dataplane("ports")
    for card in CARDS:
        assert f"{card} 82599 SFP+ {bed.driver} can be opened" in " ".join(listed.split()), listed
    _, said = bed.guest.python("-m", "dataplane", "doctor")
    assert said.count(f"82599 SFP+, on {bed.driver}") == 2, said


def test_it_forwards_pings_and_tcp(bed: Bed) -> None:
    bed.forward()
    bed.lab.net.sh(bed.left, pings(RIGHT, count=20))
    bed.lab.net.sh(bed.right, pings(LEFT, "-s", "1400"))
    tcp(bed.lab, bed.left, bed.right, RIGHT, megabytes=4)
    report = bed.stop()
    assert report["ok"]
    segments = 4 * (1 << 20) // 1448  # one way; the other has their acknowledgements
    received = [report["ports"][card]["rx_good_packets"] for card in CARDS]
    assert received[0] >= segments and received[1] >= 100, report["ports"]
    assert sum(report["drops"].values()) == 0


def test_it_forwards_again(bed: Bed) -> None:
    """Reset, queues and DMA map once more, by another process."""
    bed.forward("--rx-desc", "64", "--tx-desc", "64")
    bed.lab.net.sh(bed.left, pings(RIGHT))
    bed.stop()


def test_a_process_that_is_killed_leaves_nothing_behind(bed: Bed) -> None:
    bed.forward()
    bed.guest.signal("KILL", "dataplane l2fwd")
    bed.ended("137")
    bed.forward()
    bed.lab.net.sh(bed.left, pings(RIGHT))
    bed.stop()


def test_plain_pages(bed: Bed) -> None:
    """An IOMMU makes them one range; without one, they are refused."""
    bed.guest.run("sysctl -qw vm.nr_hugepages=0")
    try:
        if bed.driver == "vfio-pci":
            bed.forward()
            bed.lab.net.sh(bed.left, pings(RIGHT))
            bed.stop()
        else:
            status, said = bed.guest.python("-m", "dataplane", "l2fwd", *CARDS, "--seconds", "1")
            assert status == 1
            assert "only those of hugepages stay" in said
    finally:
        bed.guest.run("sysctl -qw vm.nr_hugepages=96")


def test_nobody_complained(bed: Bed) -> None:
    assert bed.nic.findings == []


def test_dma_outside_the_map_is_a_fault_and_nothing_else(bed: Bed) -> None:
    if bed.driver != "vfio-pci":
        return  # without an IOMMU nothing is outside
    before = len(bed.nic.findings)
    status, said = bed.guest.python(ROGUE, CARDS[0])
    assert (status, said) == (0, "blocked"), said
    told = [line for line in bed.nic.findings[before:] if "0x3000000000" in line]
    assert len(told) == 1 and "Tx descriptor" in told[0], bed.nic.findings
    bed.forward()
    bed.lab.net.sh(bed.left, pings(RIGHT))
    bed.stop()


def test_unbind_gives_the_cards_back_to_the_kernel(bed: Bed) -> None:
    said = bed.dataplane("unbind", *CARDS)
    assert said.count(f"from {bed.driver} to ixgbe") == 2
    bed.guest.run("ip addr add 10.8.0.9/24 dev eth0; ip link set eth0 up")
    bed.guest.until(soon(LEFT))
