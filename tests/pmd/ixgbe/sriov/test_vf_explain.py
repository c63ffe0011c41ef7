# SPDX-License-Identifier: BSD-3-Clause
"""`vf explain`: each cause of silence is made on the board, and named."""

from __future__ import annotations

import pytest

from dataplane.errors import ConfigError
from dataplane.pmd.datasheet import RDT, RXDCTL, SSVPC, TDT, TXDCTL, VFRE, VMECM, mailbox
from dataplane.pmd.datasheet.vf import VFCTRL
from dataplane.pmd.ixgbe.findings import PROBLEM, VfFinding, summary
from dataplane.pmd.ixgbe.sriov.explain import explain
from dataplane.pmd.ixgbe.sriov.sampling import VfSample, VfSampler
from dataplane.pmd.ixgbe.sriov.service import Dialog
from tests.pmd.ixgbe.ruled import Ruled, Script, set_multicast, set_vlan


def works(ruled: Ruled, api: int = mailbox.API_1_3) -> Script:
    """A VF that lacks nothing: both queues on, with buffers."""
    script = ruled.vf(0, api=api)
    script.ask(mailbox.SET_LPE, 1518)
    ruled.board[RXDCTL[0]] = RXDCTL[0].ENABLE.mask
    ruled.board[TXDCTL[0]] = TXDCTL[0].ENABLE.mask
    ruled.board[RDT[0]] = 63
    ruled.round()
    return script


def problems(ruled: Ruled, seen: VfSample | None = None) -> list[VfFinding]:
    return [finding for finding in said(ruled, seen) if finding.kind == PROBLEM]


def said(ruled: Ruled, seen: VfSample | None = None) -> list[VfFinding]:
    return explain(ruled.table, 0, ruled.service.dialogs[0], seen)


def text(findings: list[VfFinding]) -> str:
    return "\n".join(f"{finding.way}: {finding.text}; {finding.mend}" for finding in findings)


@pytest.fixture
def ruled() -> Ruled:
    return Ruled()


def test_nothing_is_wrong(ruled: Ruled) -> None:
    works(ruled)
    assert problems(ruled) == []
    assert summary(said(ruled)) == "nothing keeps it from sending and receiving"
    assert "it never asked for a group" in text(said(ruled))
    assert "it has asked for no VLAN" in text(said(ruled))
    assert "speaks API 1.3" in text(said(ruled))


def test_no_such_vf(ruled: Ruled) -> None:
    with pytest.raises(ConfigError, match="no VF 7"):
        explain(ruled.table, 7, Dialog())


def test_the_pf_is_not_up(ruled: Ruled) -> None:
    works(ruled)
    ruled.table.go_down()
    assert "the PF is not up" in text(problems(ruled))
    assert summary(said(ruled)) == "sends and receives nothing"


def test_no_driver(ruled: Ruled) -> None:
    ruled.round()
    assert "no driver has begun" in text(problems(ruled))
    script = works(ruled)
    script.bar.write(VFCTRL, VFCTRL.RST.mask)
    ruled.round()
    assert "no driver has begun on this VF (no RESET in its mailbox), after 2 resets" in text(problems(ruled))


def test_told_to_begin_anew(ruled: Ruled) -> None:
    works(ruled)
    ruled.table.set(0, "trust", "on")
    assert "asked it to reinitialise" in text(problems(ruled))


def test_no_link(ruled: Ruled) -> None:
    works(ruled)
    ruled.board.link_up = False
    ruled.round(100)
    assert "the port has no link" in text(problems(ruled))


def test_link_switched_off(ruled: Ruled) -> None:
    works(ruled)
    ruled.table.set(0, "state", "disable")
    assert "switched off by the administrator; dataplane vf set board0 0 state auto" in text(problems(ruled))


def test_frames_over_the_pfs_maximum(ruled: Ruled) -> None:
    script = works(ruled)
    script.ask(mailbox.SET_LPE, 9018)
    assert (
        "rx: it wants frames of 9018 bytes, over the PF's maximum: the port takes 1518; give the PF an MTU of 9000"
        in text(problems(ruled))
    )
    assert summary(said(ruled)) == "receives nothing"
    assert "refused: SET_LPE 9018" in text(said(ruled))


def test_a_jumbo_pf_and_a_vf_that_says_nothing() -> None:
    ruled = Ruled(frame=9018)
    ruled.vf(0, api=mailbox.API_1_1)
    assert "the VF has not requested that (SET_LPE)" in text(problems(ruled))


def test_closed_gates(ruled: Ruled) -> None:
    works(ruled)
    ruled.board[VFRE[0]] &= ~1
    assert "its gate is closed (PFVFRE)" in text(problems(ruled))


def test_queues_that_are_off(ruled: Ruled) -> None:
    works(ruled)
    ruled.board[RXDCTL[0]] = ruled.board[TXDCTL[0]] = 0
    assert "none of its Rx queues is on" in text(problems(ruled))
    assert "none of its Tx queues is on" in text(problems(ruled))


def test_no_buffers(ruled: Ruled) -> None:
    works(ruled)
    ruled.board[RDT[0]] = 0
    assert "no buffers: Rx queue 0 has no free descriptor" in text(problems(ruled))
    ruled.board[RDT[0]] = 5
    assert "no buffers, 12 frames were dropped for that in 0.25 s" in text(
        problems(ruled, VfSample(0.25, 0, 12))
    )


def test_spoofed_frames(ruled: Ruled) -> None:
    works(ruled)
    found = text(problems(ruled, VfSample(0.25, 40)))
    assert (
        "tx: the source address or VLAN is not its own: dropped by the spoof check, 40 frames in 0.25 s"
        in found
    )
    assert "spoofchk off" in found
    ruled.board[SSVPC] = 9
    ruled.table.counters.collect()
    assert "has dropped 9 frames of this port's VFs, none of this one just now" in text(said(ruled))


def test_frames_that_do_not_leave(ruled: Ruled) -> None:
    works(ruled)
    ruled.board[TDT[0]] = 3
    assert "frames wait in Tx queue 0 and none leaves" in text(problems(ruled, VfSample(0.25)))
    assert not problems(ruled, VfSample(0.25, tx_moved=True))


def test_vlans(ruled: Ruled) -> None:
    script = works(ruled)
    script.ask(*set_vlan(100))
    assert "VLAN: untagged frames and VLAN 100; others are not allowed" in text(said(ruled))
    ruled.table.set(0, "vlan", "7")
    assert "port VLAN 7 is the only one" in text(said(ruled))


def test_multicast(ruled: Ruled) -> None:
    script = works(ruled)
    script.ask(*set_multicast(5, 6))
    assert "2 groups by their hashes, mode multi" in text(said(ruled))
    script.ask(mailbox.UPDATE_XCAST_MODE, mailbox.XCAST_NONE)
    assert "it has asked for mode none" in text(said(ruled))
    ruled.table.set(0, "trust", "on")
    script = works(ruled)
    script.ask(mailbox.UPDATE_XCAST_MODE, mailbox.XCAST_ALLMULTI)
    assert "multicast: all groups" in text(said(ruled))


def test_a_rate_and_a_lock(ruled: Ruled) -> None:
    works(ruled)
    ruled.table.set(0, "max_tx_rate", "100")
    ruled.service.dialogs[0].forced = 2
    ruled.service.dialogs[0].held_back = 3
    found = text(said(ruled))
    assert "it may send 100 Mb/s" in found
    assert "kept the mailbox too long 2 times" in found
    assert "it asks too much: 3 times" in found


def test_a_sample_lends_and_gives_back(ruled: Ruled) -> None:
    works(ruled)
    masks: list[int] = []
    ruled.board.on_sleep.append(lambda: masks.append(ruled.board[VMECM[0]]))
    before = ruled.board[VMECM[0]]
    VfSampler(ruled.table).sample([ruled.table.vfs[0]])
    assert masks == [1], "only this VF's drops are counted meanwhile"
    assert ruled.board[VMECM[0]] == before == 0b1111
