# SPDX-License-Identifier: BSD-3-Clause
"""The advice of an error about a missing VF works when it is followed word by word."""

from __future__ import annotations

import re

import pytest
from served import Served

from dataplane import pmd
from dataplane.errors import DataplaneError
from dataplane.pmd.ixgbe.control import call
from dataplane.pmd.ixgbe.pf import IxgbePort


def follow(vf: str) -> None:
    """Open the PF as the error says, and then the VF."""
    with pytest.raises(DataplaneError) as caught:
        pmd.probe(f"{vf},pf_wait=0")
    advised = re.search(r"as in '(.*)'", str(caught.value))
    assert advised, caught.value
    with pmd.probe(advised[1]) as pf:
        pf.start()
        pmd.probe(vf).close()


@pytest.mark.parametrize("number", [0, 5, 31, 62])
def test_a_vf_of_a_pf_that_is_not_open(number: int) -> None:
    follow(f"model0.vf{number}")


@pytest.mark.parametrize("number", [2, 62])
def test_a_vf_that_its_pf_does_not_have(number: int) -> None:
    """The PF must be closed first: the advice is for its next opening."""
    with pmd.probe("model0,vfs=2") as pf:
        pf.start()
        with pytest.raises(DataplaneError, match=f"model0 has 2 VFs .*'model0,vfs={number + 1}'"):
            pmd.probe(f"model0.vf{number},pf_wait=0")
    follow(f"model0.vf{number}")


@pytest.mark.parametrize("open_pf", [True, False])
@pytest.mark.parametrize("number", [63, 64, 200])
def test_no_advice_can_give_more_than_63(number: int, open_pf: bool) -> None:
    """The error comes at once, without a wait for the PF."""
    pf = pmd.probe("model0,vfs=63") if open_pf else None
    try:
        with pytest.raises(DataplaneError, match="an 82599 port has vf0 to vf62") as caught:
            pmd.probe(f"model0.vf{number}")
        assert "vfs=" not in str(caught.value)
        assert "waited" not in str(caught.value)
    finally:
        if isinstance(pf, IxgbePort):
            pf.close()


def test_a_vf_of_a_served_nic() -> None:
    with Served("--vfs", "3") as nic:
        follow(nic.port("pf0.vf2"))


def test_a_vf_is_no_pf() -> None:
    for name, pf in (
        ("model0.vf3", "model0"),
        ("vfio-user:/run/nic/pf0.vf3.sock", "vfio-user:/run/nic/pf0.sock"),
    ):
        with pytest.raises(
            DataplaneError, match=f"{name} is a VF that no program here has started: .*, ask {pf} about VF 3"
        ):
            call(name, "show")
