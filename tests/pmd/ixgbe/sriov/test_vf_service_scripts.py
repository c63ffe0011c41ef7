# SPDX-License-Identifier: BSD-3-Clause
"""Linux' and DPDK's VF drivers, replayed: their orders of messages, against our PF's service (facts of 10.8)."""

from __future__ import annotations

import pytest

from dataplane.pmd.datasheet import (
    MAXFRS,
    MPSAR_LO,
    MTA,
    RAH,
    RAL,
    TDWBAL,
    VFRE,
    VFTE,
    VLVF,
    VLVFB,
    VMECM,
    VMOLR,
    mailbox,
)
from dataplane.pmd.datasheet.vf import VFCTRL, VFMAILBOX, VFMBMEM, VFTDWBAL
from dataplane.pmd.ixgbe.sriov.state import stable_mac
from tests.pmd.ixgbe.ruled import OK, PF_MAC, Rule, Ruled, Script, set_mac, set_multicast, set_vlan


def address(ruled: Ruled, slot: int) -> bytes:
    low, high = ruled.board[RAL[slot]], ruled.board[RAH[slot]]
    assert high & RAH[slot].AV.mask, f"RAR {slot} is not valid"
    return low.to_bytes(4, "little") + (high & 0xFFFF).to_bytes(2, "little")


def negotiate(script: Script, versions: list[int]) -> int:
    """Downward until one is taken."""
    for version in versions:
        reply = script.ask(mailbox.API_NEGOTIATE, version)
        if reply[0] == mailbox.API_NEGOTIATE | OK:
            return version
        assert reply[0] == mailbox.API_NEGOTIATE | mailbox.NACK | mailbox.CTS
    raise AssertionError("the PF speaks none of them")


LINUX = [
    mailbox.API_1_7,
    mailbox.API_1_6,
    mailbox.API_1_5,
    mailbox.API_1_4,
    mailbox.API_1_3,
    mailbox.API_1_2,
    mailbox.API_1_1,
    mailbox.API_1_0,
]
DPDK = [mailbox.API_1_3, mailbox.API_1_2, mailbox.API_1_1, mailbox.API_1_0]


@pytest.mark.parametrize(
    ("versions", "spoken"),
    [
        (LINUX, mailbox.API_1_7),
        (LINUX[1:], mailbox.API_1_6),
        (LINUX[2:], mailbox.API_1_3),
        (DPDK, mailbox.API_1_3),
    ]
    + [(DPDK[n:], DPDK[n]) for n in (1, 2, 3)],
)
def test_negotiation_goes_down_to_what_both_speak(rule: Rule, versions: list[int], spoken: int) -> None:
    ruled = rule()
    script = ruled.vf(1)
    assert script.state.api == mailbox.API_1_0, "until something else was agreed"
    assert negotiate(script, versions) == spoken == script.state.api


def test_linux_brings_a_vf_up(rule: Rule) -> None:
    """ixgbevf: stop, reset, RESET, negotiation, GET_QUEUES, then what the interface has."""
    ruled = rule(vfs=2)
    board = ruled.board
    script = Script(ruled, 1)
    script.bar.write(VFTDWBAL[0], 0x1234_5671)  # what a driver before has left
    mac = script.begin()
    assert mac == stable_mac(PF_MAC, 1) == address(ruled, 126)
    assert board[MPSAR_LO[126]] == 1 << 1
    assert board[VFRE[0]] == board[VFTE[0]] == 1 << 1 | 1 << 2, "its pool's gates and the PF's are open"
    assert board[VMECM[0]] & 1 << 1
    assert [board.qde[queue] for queue in range(4, 8)] == [1] * 4, "it drops when it has no descriptors"
    assert board[TDWBAL[4]] == 0, "or the chip would write heads where its last driver wanted them"
    assert negotiate(script, LINUX[4:]) == mailbox.API_1_3
    assert script.ask(mailbox.GET_QUEUES, 0, 0, 0, 0)[:5] == [mailbox.GET_QUEUES | OK, 4, 4, 0, 0]
    assert script.ask(mailbox.SET_LPE, 1518)[0] == mailbox.SET_LPE | OK
    assert script.ask(*set_mac("02:aa:00:00:00:01"))[0] == mailbox.SET_MAC_ADDR | OK
    assert address(ruled, 126).hex() == "02aa00000001"
    assert script.ask(mailbox.UPDATE_XCAST_MODE, mailbox.XCAST_MULTI)[:2] == [
        mailbox.UPDATE_XCAST_MODE | OK,
        1,
    ]
    assert script.ask(*set_multicast(0x123, 0x456))[0] & OK == OK
    assert board[MTA[0x123 >> 5]] & 1 << (0x123 & 31)
    assert board[MTA[0x456 >> 5]] & 1 << (0x456 & 31)
    assert board[VMOLR[1]] == VMOLR[1].pack(BAM=1, AUPE=1, ROMPE=1)
    assert script.ask(*set_vlan(100))[0] & OK == OK
    slot = next(n for n in range(64) if board[VLVF[n]] == VLVF[n].pack(VLAN_ID=100, VI_EN=1))
    assert board[VLVFB[2 * slot]] == 1 << 1 | 1 << 2, "it, and the PF, which wants every VLAN"
    assert script.ask(mailbox.GET_LINK_STATE, 0)[:2] == [mailbox.GET_LINK_STATE | OK, 1]


def test_dpdk_brings_a_vf_up(rule: Rule) -> None:
    """net_ixgbe_vf: PFACK is waited for as well (write_posted), 16 words of multicast, XCAST last."""
    ruled = rule()
    script = Script(ruled, 0)
    script.bar.write(VFCTRL, VFCTRL.RST.mask)
    script.bar.sleep(0.05)
    script.flags()
    seen = 0
    script.send(mailbox.RESET)
    while not seen & VFMAILBOX.PFACK.mask:  # write_posted
        script.bar.sleep(500e-6)
        seen |= script.flags()
    while not seen & VFMAILBOX.PFSTS.mask:  # read_posted
        script.bar.sleep(500e-6)
        seen |= script.flags()
    script.bar.write(VFMAILBOX, VFMAILBOX.VFU.mask)
    words = [script.bar.read(VFMBMEM[n]) for n in range(4)]
    script.bar.write(VFMAILBOX, VFMAILBOX.ACK.mask)
    assert words == [mailbox.RESET_ACK, *mailbox.mac_words(stable_mac(PF_MAC, 0)), 0]
    assert negotiate(script, DPDK) == mailbox.API_1_3
    assert script.ask(mailbox.GET_QUEUES, 0, 0, 0, 0)[1:3] == [4, 4]
    assert script.ask(mailbox.SET_LPE, 1518)[0] == mailbox.SET_LPE | OK
    assert script.ask(*set_vlan(0))[0] == mailbox.SET_VLAN | 1 << 16 | OK
    assert script.ask(*set_multicast())[0] == mailbox.SET_MULTICAST | OK, "no groups is an answer too"
    assert script.ask(mailbox.UPDATE_XCAST_MODE, mailbox.XCAST_NONE)[0] == mailbox.UPDATE_XCAST_MODE | OK
    assert ruled.board[VMOLR[0]] & VMOLR[0].BAM.mask, "DPDK says NONE, and needs ARP nevertheless"


def test_the_oldest_vf_knows_no_negotiation(rule: Rule) -> None:
    """API 1.0: RESET, and on it goes."""
    ruled = rule()
    script = ruled.vf(2)
    assert script.ask(mailbox.SET_LPE, 1518)[0] == mailbox.SET_LPE | OK
    assert script.ask(*set_vlan(5))[0] & OK == OK
    reply = script.ask(mailbox.GET_QUEUES, 0, 0, 0, 0)
    assert reply[0] == mailbox.GET_QUEUES | mailbox.NACK | mailbox.CTS
    assert "from API 1.1 on" in script.why()


def test_the_memory_keeps_what_the_pf_does_not_write(rule: Rule) -> None:
    """One RAM: a driver that looks at more words than the answer has finds its own request there."""
    ruled = rule()
    script = ruled.vf(0, api=mailbox.API_1_3)
    assert script.ask(mailbox.SET_LPE, 1500)[:2] == [mailbox.SET_LPE | OK, 1500]


def test_a_pf_that_was_reset_is_met_anew(rule: Rule) -> None:
    ruled = rule()
    script = ruled.vf(0, api=mailbox.API_1_3)
    ruled.board.reset()
    assert script.flags() & VFMAILBOX.RSTI.mask
    assert not script.flags() & VFMAILBOX.RSTD.mask
    ruled.bring_up()
    flags = script.flags()
    assert flags & VFMAILBOX.RSTD.mask
    assert not flags & VFMAILBOX.RSTI.mask
    assert not script.flags() & VFMAILBOX.RSTD.mask, "a read clears it"
    assert script.ask(mailbox.SET_LPE, 1518)[0] == mailbox.SET_LPE | mailbox.NACK, (
        "not before RESET, and without CTS"
    )
    assert script.begin() == stable_mac(PF_MAC, 0), "the address is the same as before"


def test_jumbo_pf_opens_the_gate_only_when_the_vf_takes_large_frames(rule: Rule) -> None:
    ruled = rule(frame=9018)
    script = ruled.vf(0, api=mailbox.API_1_1)
    assert ruled.board[VFTE[0]] & 1
    assert not ruled.board[VFRE[0]] & 1, "its buffers may be small"
    assert script.ask(mailbox.SET_LPE, 9018)[0] == mailbox.SET_LPE | OK
    assert ruled.board[VFRE[0]] & 1
    assert ruled.board.pf.get(MAXFRS.MFS) == 9018


def test_linux_notices_by_the_nack_that_it_has_to_begin_anew(rule: Rule) -> None:
    """Its ixgbevf only drops the link at a control message without CTS; the NACK that answers its ACK has it reset."""
    ruled = rule()
    script = ruled.vf(api=mailbox.API_1_7)
    ruled.table.set(0, "mac", "02:00:00:00:00:11")
    assert (script.read() or [0])[0] == mailbox.PF_CONTROL_MSG
    assert (script.read() or [0])[0] == mailbox.NACK
    assert script.read() is None, "said once"
    assert script.begin() == bytes.fromhex("020000000011")
