# SPDX-License-Identifier: BSD-3-Clause
"""The kernel's VFIO and `dataplane bind` on a device that is none of ours: QEMU's 82576, with SR-IOV, behind QEMU's VT-d."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypervisor.guest import Guest
from hypervisor.lab import Lab

pytestmark = [pytest.mark.vm, pytest.mark.root]

CARD = "0000:01:00.0"
PROGRAM = str(Path(__file__).with_name("strange_device.py"))


@pytest.fixture(scope="module")
def guest(lab: Lab) -> Guest:
    made = lab.guest(
        modules=["igb", "vfio-pci", "vfio_iommu_type1", "uio_pci_generic"],
        memory=512,
        iommu=True,
        hugepages=32,
        host=True,
        devices=[
            *("-device", "pcie-root-port,id=rp1,slot=1"),
            *("-netdev", "hubport,hubid=0,id=n", "-device", "igb,bus=rp1,netdev=n"),
        ],
    )
    made.run("echo 1 >/sys/module/vfio_pci/parameters/enable_sriov")
    return made


def dataplane(guest: Guest, *words: str) -> str:
    status, said = guest.python("-m", "dataplane", *words)
    assert status == 0, said
    return said


def test_bind_refuses_the_interface_with_the_default_route(guest: Guest) -> None:
    guest.run("ip link set eth0 up; ip addr add 10.0.0.1/24 dev eth0; ip route add default via 10.0.0.2")
    status, said = guest.python("-m", "dataplane", "bind", CARD)
    assert status == 1
    assert "the default route goes through eth0" in said
    assert guest.run(f"basename $(readlink /sys/bus/pci/devices/{CARD}/driver)") == "igb"
    guest.run("ip addr flush dev eth0; ip link set eth0 down")


@pytest.mark.parametrize("step", ["open", "memory", "interrupts", "reset", "vfs"])
def test_vfio(guest: Guest, step: str) -> None:
    """Each step is a program of its own, which opens and closes the device."""
    dataplane(guest, "bind", CARD)
    status, said = guest.python(PROGRAM, step, CARD)
    assert (status, said.splitlines()[-1]) == (0, f"{step}: well"), said


def test_a_program_that_has_it_open_keeps_it(guest: Guest) -> None:
    dataplane(guest, "bind", CARD)
    guest.begin(guest.python_line(PROGRAM, "hold", CARD), "/tmp/held")
    guest.until("grep -q holding /tmp/held")
    status, said = guest.python("-m", "dataplane", "unbind", CARD)
    assert status == 1
    assert "open" in said
    status, said = guest.python(PROGRAM, "open", CARD)
    assert status != 0
    assert "another process may have the device" in said
    guest.signal("KILL", "strange_device.py")
    guest.run("sleep 1")


def test_unbind_gives_it_back(guest: Guest) -> None:
    dataplane(guest, "bind", CARD)
    assert "to igb" in dataplane(guest, "unbind", CARD)
    guest.until("ip link show eth0")
    assert "uio_pci_generic" in dataplane(guest, "bind", "--driver", "uio_pci_generic", CARD)
    status, said = guest.python("-c", f"from dataplane.pmd import probe; probe({CARD!r})")
    assert status == 1
    assert "the IOMMU translates its addresses" in said
    assert "to igb" in dataplane(guest, "unbind", CARD)
