# SPDX-License-Identifier: BSD-3-Clause
"""Every refusal of the mailbox's facts (10.5, 10.6, 10.9), and that each is remembered with its reason."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from dataplane.errors import ConfigError
from dataplane.pmd.datasheet import MAXFRS, VFRE, VLVF, VMOLR, mailbox
from dataplane.pmd.ixgbe.sriov.state import stable_mac
from tests.pmd.ixgbe.ruled import (
    NO,
    OK,
    PF_MAC,
    Rule,
    Ruled,
    Script,
    set_mac,
    set_macvlan,
    set_multicast,
    set_vlan,
)

A, B = "02:aa:00:00:00:01", "02:aa:00:00:00:02"


def text(mac: bytes) -> str:
    return mac.hex(":")


@pytest.fixture
def ruled(rule: Rule) -> Ruled:
    return rule()


def refused(script: Script, words: Sequence[int], why: str) -> None:
    """NACK with CTS, and the reason is known."""
    before = sum(script.state.refusals.values())
    reply = script.ask(*words)
    assert reply[0] == words[0] | NO, mailbox.describe(reply[0])
    assert sum(script.state.refusals.values()) == before + 1
    assert why in script.why()


def granted(script: Script, words: Sequence[int]) -> list[int]:
    reply = script.ask(*words)
    assert reply[0] == words[0] | OK, f"{mailbox.describe(reply[0])}: {script.why()}"
    return reply


@pytest.mark.parametrize(
    "words", [[mailbox.SET_LPE, 1518], [mailbox.API_NEGOTIATE, 4], [mailbox.GET_QUEUES], [0x77]]
)
def test_nothing_before_reset(ruled: Ruled, words: list[int]) -> None:
    script = ruled.vf(begun=False)
    reply = script.ask(*words)
    assert reply[0] == words[0] | mailbox.NACK, "and no CTS: it has to begin with RESET"
    assert "has not begun" in script.why()


def test_an_answer_is_no_question(ruled: Ruled) -> None:
    script = ruled.vf()
    for flag in (mailbox.ACK, mailbox.NACK):
        script.send(mailbox.SET_LPE | flag, 1518)
        assert script.read(20) is None
    assert not script.why()


def test_reset_is_exact(ruled: Ruled) -> None:
    script = ruled.vf()
    assert script.ask(mailbox.RESET | 1 << mailbox.INFO_SHIFT)[0] == mailbox.RESET_NACK


def test_a_stray_ack_is_told_to_begin_anew_once(ruled: Ruled) -> None:
    """10.5: an ACK of a VF without CTS is answered with a bare NACK; its ACK of that is not."""
    script = ruled.vf(begun=False)
    script.bar.write32(0x2FC, 2)
    assert (script.read() or [0])[0] == mailbox.NACK
    assert script.read(20) is None


@pytest.mark.parametrize("mac", ["00:00:00:00:00:00", "01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff"])
def test_addresses_that_are_none(ruled: Ruled, mac: str) -> None:
    script = ruled.vf()
    refused(script, set_mac(mac), "multicast or zero")
    refused(script, set_macvlan(1, mac), "multicast or zero")


def test_the_administrators_address_stays(ruled: Ruled) -> None:
    ruled.table.set(0, "mac", A)
    script = ruled.vf()
    assert text(script.state.mac) == A
    granted(script, set_mac(A))
    refused(script, set_mac(B), "set to 02:aa:00:00:00:01 by the administrator")
    refused(script, set_macvlan(1, B), "by the administrator")
    granted(script, set_macvlan(0))
    ruled.table.set(0, "trust", "on")
    script.begin()
    granted(script, set_mac(B))
    granted(script, set_macvlan(1, A))


def test_an_address_of_another_function_is_not_for_taking(ruled: Ruled) -> None:
    other = ruled.vf(1)
    script = ruled.vf(0)
    for mac in (text(other.state.mac), text(PF_MAC)):
        refused(script, set_mac(mac), "and it is not trusted")
        refused(script, set_macvlan(1, mac), "and it is not trusted")
    with pytest.raises(ConfigError, match="VF 1: trust VF 0 first"):
        ruled.table.set(0, "mac", text(other.state.mac))
    with pytest.raises(ConfigError, match="the PF: trust VF 0 first"):
        ruled.table.set(0, "mac", text(PF_MAC))
    ruled.table.set(0, "trust", "on")
    script.begin()
    granted(script, set_mac(text(other.state.mac)))
    assert ruled.filters.addresses.owners(other.state.mac) == 0b11, "one entry with both pools"
    script.begin()
    assert ruled.filters.addresses.owners(other.state.mac) == 0b10


def test_the_address_of_a_vf_that_is_not_in_use_is_not_for_taking(ruled: Ruled) -> None:
    """Otherwise two VFs would share it from the owner's RESET on, and the other one would see the owner's frames."""
    script = ruled.vf(0)
    idle = text(ruled.table.vfs[1].own_mac)
    refused(script, set_mac(idle), "is the address of VF 1, and it is not trusted")
    refused(script, set_macvlan(1, idle), "is the address of VF 1, and it is not trusted")
    ruled.table.set(1, "mac", A)
    refused(script, set_mac(A), "is the address of VF 1, and it is not trusted")
    granted(script, set_mac(idle))  # no VF has it any more
    assert text(ruled.vf(1).state.mac) == A


def test_a_changed_address_needs_room_like_any_other(rule: Rule) -> None:
    """A VF whose first address is one of its further ones, too, keeps that entry when it changes the first."""
    ruled = rule(vfs=1)
    script = ruled.vf()
    granted(script, set_macvlan(2, A))
    granted(script, set_mac(A))
    for n in range(125):
        granted(script, set_macvlan(2, f"02:bb:00:00:00:{n:02x}"))
    refused(script, set_macvlan(2, B), "128 addresses are taken")
    granted(script, set_mac(B))
    assert ruled.filters.addresses.owners(script.state.mac) == 1, "what was granted is in the chip's table"
    assert script.begin() == stable_mac(PF_MAC, 0)
    assert ruled.filters.addresses.owners(script.state.mac) == 1


def test_further_addresses(ruled: Ruled) -> None:
    script = ruled.vf()
    granted(script, set_macvlan(1, A))
    granted(script, set_macvlan(2, B))
    granted(script, set_macvlan(2, B))
    assert [text(mac) for mac in script.state.macvlans] == [A, B]
    granted(script, set_macvlan(1, B))
    assert [text(mac) for mac in script.state.macvlans] == [B], "index 1 begins a new list"
    assert not ruled.filters.addresses.owners(bytes.fromhex(A.replace(":", "")))
    granted(script, set_macvlan(0))
    assert not script.state.macvlans


def test_one_vf_cannot_take_every_address(rule: Rule) -> None:
    ruled = rule(vfs=40)
    greedy, modest = ruled.vf(0), ruled.vf(1)
    taken = 0
    while greedy.ask(*set_macvlan(2, f"02:bb:00:00:00:{taken:02x}"))[0] & mailbox.ACK:
        taken += 1
    assert 1 <= taken < 128
    assert "have no second one" in greedy.why()
    granted(modest, set_macvlan(1, A))
    assert ruled.vf(39).begin() == stable_mac(PF_MAC, 39), "first addresses have their own places"


def test_all_addresses_taken(rule: Rule) -> None:
    ruled = rule(vfs=1)
    script = ruled.vf()
    for n in range(126):
        granted(script, set_macvlan(2, f"02:bb:00:00:00:{n:02x}"))
    refused(script, set_macvlan(2, A), "128 addresses are taken")


def test_vlans_run_out_for_one_before_others(rule: Rule) -> None:
    ruled = rule(vfs=3)
    greedy, modest = ruled.vf(0), ruled.vf(1)
    taken = [vid for vid in range(1, 80) if greedy.ask(*set_vlan(vid))[0] & mailbox.ACK]
    assert len(taken) == 61, "63 slots, one left for each of the two others"
    assert "left, for 2 VFs that have none" in greedy.why()
    granted(modest, set_vlan(taken[0]))
    granted(modest, set_vlan(500))
    granted(modest, set_vlan(taken[0], False))
    refused(modest, set_vlan(501), "left, for 1 VFs that have none")
    granted(ruled.vf(2), set_vlan(501))
    granted(modest, set_vlan(501))
    for _ in range(2):
        granted(greedy, set_vlan(taken[3], False))
    granted(modest, set_vlan(502))


def test_a_trusted_vf_takes_what_there_is(rule: Rule) -> None:
    ruled = rule(vfs=63)
    ruled.table.set(0, "trust", "on")
    script = ruled.vf()
    for vid in range(1, 64):
        granted(script, set_vlan(vid))
    refused(script, set_vlan(64), "64 VLANs are taken")
    for n in range(64):
        granted(script, set_macvlan(2, f"02:bb:00:00:00:{n:02x}"))
    refused(script, set_macvlan(2, A), "128 addresses are taken")


def test_all_vlans_taken(rule: Rule) -> None:
    ruled = rule(vfs=1)
    script = ruled.vf()
    for vid in range(1, 64):
        granted(script, set_vlan(vid))
    refused(script, set_vlan(64), "64 VLANs are taken")
    granted(script, set_vlan(63))
    granted(script, set_vlan(0, False))
    assert ruled.board[VLVF[0]] == VLVF[0].pack(VLAN_ID=0, VI_EN=1), "untagged frames with a priority stay"


def test_a_port_vlan_is_the_only_one(ruled: Ruled) -> None:
    ruled.table.set(0, "vlan", "7")
    script = ruled.vf(api=mailbox.API_1_1)
    refused(script, set_vlan(5), "it has port VLAN 7")
    refused(script, set_vlan(7, False), "it has port VLAN 7")
    assert script.ask(mailbox.GET_QUEUES, 0, 0, 0, 0)[3] == 1, "so it knows that tags must be taken off"


@pytest.mark.parametrize(
    ("pf", "api", "frame", "why"),
    [
        (1518, None, 1519, "frames of 1519 bytes, the PF's largest are 1518"),
        (1518, mailbox.API_1_3, 9018, "the PF's largest are 1518"),
        (9018, None, 1518, "a VF that speaks API 1.0"),
        (9018, None, 9018, "a VF that speaks API 1.0"),
    ],
)
def test_frames_that_do_not_fit(rule: Rule, pf: int, api: int | None, frame: int, why: str) -> None:
    ruled = rule(frame=pf)
    script = ruled.vf(api=api)
    refused(script, [mailbox.SET_LPE, frame], why)
    assert not ruled.board[VFRE[0]] & 1, "it must not be given what it did not ask for"
    assert script.state.too_large == frame
    if pf == 1518:
        granted(script, [mailbox.SET_LPE, 1518])
        assert ruled.board[VFRE[0]] & 1


@pytest.mark.parametrize("frame", [0, 63, 9729, 16129, 0xFFFF_FFFF])
def test_frames_out_of_range(rule: Rule, frame: int) -> None:
    ruled = rule(frame=9728)
    script = ruled.vf(api=mailbox.API_1_1)
    refused(script, [mailbox.SET_LPE, frame], "must be 64 to 9728")
    granted(script, [mailbox.SET_LPE, 9728])
    assert ruled.board.pf.get(MAXFRS.MFS) == 9728
    granted(script, [mailbox.SET_LPE, 64])
    assert ruled.board.pf.get(MAXFRS.MFS) == 9728, "never lowered: others have been promised"


@pytest.mark.parametrize("version", [1, 5, 6, 9, 0xFFFF_FFFF])
def test_versions_that_are_not_spoken(ruled: Ruled, version: int) -> None:
    script = ruled.vf(api=mailbox.API_1_1)
    refused(script, [mailbox.API_NEGOTIATE, version], "this PF speaks 1.0, 1.1")
    assert script.state.api == mailbox.API_1_1


@pytest.mark.parametrize(
    ("words", "api", "why"),
    [
        ([mailbox.GET_QUEUES], None, "from API 1.1"),
        ([mailbox.GET_RETA], mailbox.API_1_1, "from API 1.2"),
        ([mailbox.GET_RSS_KEY], mailbox.API_1_1, "from API 1.2"),
        ([mailbox.UPDATE_XCAST_MODE, 1], mailbox.API_1_1, "from API 1.2"),
        ([mailbox.GET_LINK_STATE], mailbox.API_1_1, "from API 1.2"),
        ([mailbox.FEATURES_NEGOTIATE, 1], mailbox.API_1_6, "from API 1.7"),
        ([mailbox.UPDATE_XCAST_MODE, 3], mailbox.API_1_2, "from API 1.3"),
        ([mailbox.UPDATE_XCAST_MODE, 4], mailbox.API_1_3, "no mode 4"),
        ([mailbox.GET_RETA], mailbox.API_1_3, "query_rss is off"),
        ([mailbox.GET_RSS_KEY], mailbox.API_1_3, "query_rss is off"),
        ([mailbox.GET_PF_LINK_STATE, 0, 0], mailbox.API_1_6, "no such service"),
        ([mailbox.IPSEC_ADD, 1], mailbox.API_1_3, "no such service"),
        ([mailbox.IPSEC_DEL, 1], mailbox.API_1_3, "no such service"),
        ([0x07], mailbox.API_1_3, "no such service"),
        ([0xFFFF], mailbox.API_1_3, "no such service"),
    ],
    ids=lambda value: mailbox.describe(value[0]) if isinstance(value, list) else "",
)
def test_what_a_version_or_this_chip_does_not_have(
    ruled: Ruled, words: list[int], api: int, why: str
) -> None:
    refused(ruled.vf(api=api), words, why)


def test_modes_for_the_untrusted_and_the_trusted(ruled: Ruled) -> None:
    script = ruled.vf(api=mailbox.API_1_3)
    multi, allmulti, promisc = mailbox.XCAST_MULTI, mailbox.XCAST_ALLMULTI, mailbox.XCAST_PROMISC
    for mode in (allmulti, promisc):
        assert granted(script, [mailbox.UPDATE_XCAST_MODE, mode])[1] == multi, "less than it asked for"
    assert not ruled.board[VMOLR[0]] & VMOLR[0].MPE.mask
    ruled.table.set(0, "trust", "on")
    script = ruled.vf(api=mailbox.API_1_3)
    assert granted(script, [mailbox.UPDATE_XCAST_MODE, allmulti])[1] == allmulti
    assert ruled.board[VMOLR[0]] & VMOLR[0].MPE.mask
    refused(script, [mailbox.UPDATE_XCAST_MODE, promisc], "no pool of an 82599 can be promiscuous")
    granted(script, set_multicast(1))
    granted(script, [mailbox.UPDATE_XCAST_MODE, mailbox.XCAST_NONE])
    assert not ruled.board[VMOLR[0]] & (VMOLR[0].MPE.mask | VMOLR[0].ROMPE.mask)


def test_rss_is_told_when_it_may_be(ruled: Ruled) -> None:
    ruled.table.set(0, "query_rss", "on")
    script = ruled.vf(api=mailbox.API_1_2)
    reta = granted(script, [mailbox.GET_RETA])
    assert reta[1:9] == [0xE4E4E4E4] * 8, "queues 0, 1, 2, 3 and again"
    key = granted(script, [mailbox.GET_RSS_KEY])
    assert b"".join(word.to_bytes(4, "little") for word in key[1:11]) == ruled.filters.rss.key
