# SPDX-License-Identifier: BSD-3-Clause
"""Hostile VFs, and VFs that died: the service goes on, and the other VFs do not notice."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataplane.pmd.datasheet import PFMBICR, PFVFSPOOF, RAL, SSVPC, VFRE, VFTE, VLVFB, VMOLR, VMVIR, mailbox
from dataplane.pmd.datasheet.vf import VFCTRL, VFMAILBOX, VFMBMEM
from dataplane.pmd.ixgbe.sriov.service import BURST, RATE
from tests.pmd.ixgbe.ruled import OK, Ruled, Script, set_vlan

NAMED = [*mailbox.NAMES, 0x00, 0x07, 0x0F, 0xFFFF]
garbage = st.lists(
    st.one_of(
        st.sampled_from(NAMED).flatmap(
            lambda kind: st.builds(
                lambda info, flags: kind | info << 16 | flags << 24,
                st.integers(0, 255),
                st.sampled_from([0, 0, 0, 0x20, 0x40, 0x80, 0xFF]),
            )
        ),
        st.integers(0, 0xFFFF_FFFF),
    ),
    min_size=1,
    max_size=1,
).flatmap(lambda head: st.lists(st.integers(0, 0xFFFF_FFFF), max_size=15).map(lambda rest: head + rest))
actions = st.one_of(
    st.tuples(st.just("message"), garbage),
    st.tuples(st.just("words"), garbage),
    st.tuples(st.just("flags"), st.integers(0, 0xFF)),
    st.tuples(st.just("reset"), st.none()),
    st.tuples(st.just("begin"), st.none()),
    st.tuples(st.just("wait"), st.integers(1, 5)),
)


def act(script: Script, what: str, value: object) -> None:
    """One thing that a VF can do to its mailbox."""
    bar = script.bar
    if what in ("message", "words"):
        assert isinstance(value, list)
        bar.write(VFMAILBOX, VFMAILBOX.VFU.mask)
        for n, word in enumerate(value):
            bar.write(VFMBMEM[n], word)
        if what == "message":
            bar.write(VFMAILBOX, VFMAILBOX.REQ.mask)
    elif what == "flags":
        assert isinstance(value, int)
        bar.write(VFMAILBOX, value)
    elif what == "reset":
        bar.write(VFCTRL, VFCTRL.RST.mask)
    elif what == "begin":
        act(script, "message", [mailbox.RESET])
    elif what == "wait":
        assert isinstance(value, int)
        script.ruled.round(value)


def ruled_by_the_pf(ruled: Ruled) -> dict[str, list[int]]:
    """What a VF may not change: registers of others, and the policy's of its own."""
    board, others = ruled.board, ~1
    return {
        "gates": [board[VFRE[0]] & others, board[VFTE[0]] & others],
        "spoof": [board[PFVFSPOOF[0]]],
        "pools": [board[VMOLR[n]] for n in range(1, 5)],
        "tags": [board[VMVIR[n]] for n in range(5)],
        "addresses": [board[RAL[n]] for n in (0, 126, 125)],
        "vlans": [board[VLVFB[n]] & others for n in range(2)],
    }


@settings(max_examples=40, deadline=None)
@given(st.lists(actions, max_size=30))
def test_garbage_leaves_the_service_and_the_others_alone(script_of_actions: list[tuple[str, object]]) -> None:
    ruled = Ruled()
    honest = ruled.vf(1, api=mailbox.API_1_3)
    hostile = ruled.vf(0)
    before = ruled_by_the_pf(ruled)
    for what, value in script_of_actions:
        act(hostile, what, value)
    ruled.round(3)
    assert honest.ask(mailbox.SET_LPE, 1518)[0] == mailbox.SET_LPE | OK
    after = ruled_by_the_pf(ruled)
    assert after == before
    assert honest.state.clear_to_send
    # Its own mailbox can be used again, whatever it did: the PF takes the lock from it, and it restarts.
    ruled.round(int(mailbox.LOCK_TIMEOUT / 1e-2) + 20, apart=1e-2)
    hostile.flags()
    hostile.begin()
    assert hostile.ask(mailbox.SET_LPE, 1518)[0] == mailbox.SET_LPE | OK


def test_a_lock_held_for_ever_is_broken(caplog: pytest.LogCaptureFixture) -> None:
    ruled = Ruled()
    dead, honest = ruled.vf(0), ruled.vf(1)
    dead.read()
    dead.bar.write(VFMAILBOX, VFMAILBOX.VFU.mask)
    ruled.table.link_changed(0)  # the PF has something to say to all
    began = ruled.board.time
    assert (honest.read() or [0])[0] == mailbox.PF_CONTROL_MSG | mailbox.CTS
    assert ruled.board.time - began < 0.1, "nobody waits for the dead one"
    with caplog.at_level(logging.WARNING, "dataplane"):
        ruled.round(250, apart=5e-3)
    assert not ruled.board.boxes[0].vfu
    assert ruled.service.dialogs[0].forced == 1
    assert "VF 0 kept the mailbox" in caplog.text
    ruled.round(5)
    assert not ruled.table.notify
    assert (dead.read() or [0])[0] == mailbox.PF_CONTROL_MSG | mailbox.CTS


def test_a_lock_taken_again_and_again_harms_its_owner_only() -> None:
    ruled = Ruled()
    hostile, honest = ruled.vf(0), ruled.vf(1)
    hostile.read()

    def grab() -> None:
        hostile.bar.write(VFMAILBOX, VFMAILBOX.VFU.mask | VFMAILBOX.REQ.mask)

    ruled.board.on_sleep.append(grab)
    for _ in range(100):
        assert honest.ask(mailbox.SET_LPE, 1518)[0] == mailbox.SET_LPE | OK


def test_a_flood_is_answered_at_a_bounded_rate() -> None:
    ruled = Ruled(vfs=4)
    floods = [ruled.vf(n) for n in range(3)]
    honest = ruled.vf(3)

    def flood() -> None:
        for script in floods:
            act(script, "message", [mailbox.SET_LPE, 1518])

    ruled.board.on_sleep.insert(0, flood)
    began, served = ruled.board.time, [script.state.messages for script in floods]
    while ruled.board.time < began + 0.2:
        asked = ruled.board.time
        assert honest.ask(*set_vlan(5))[0] & OK == OK
        assert ruled.board.time - asked < 0.01, "served in its turn"
        ruled.round(10, apart=2e-4)
    most = BURST + RATE * (ruled.board.time - began) + 2
    for script, before in zip(floods, served, strict=True):
        assert 200 < script.state.messages - before <= most
        assert ruled.service.dialogs[script.number].held_back


def test_endless_resets_stop_nobody() -> None:
    ruled = Ruled()
    hostile, honest = ruled.vf(0), ruled.vf(1)
    ruled.board.on_sleep.append(lambda: act(hostile, "reset", None))
    for _ in range(50):
        assert honest.ask(mailbox.SET_LPE, 1518)[0] == mailbox.SET_LPE | OK
    assert hostile.state.resets > 20
    assert not hostile.state.active


def test_a_reset_just_before_reset_does_not_undo_it() -> None:
    """PFVFLRE is looked at first, PFMBICR then: a VF that resets itself and asks in between has done both."""
    ruled = Ruled()
    script = ruled.vf(0)
    seen = ruled.service.boxes.pending

    def between() -> tuple[int, int]:
        ruled.service.boxes.pending = seen  # type: ignore[method-assign]
        act(script, "reset", None)
        script.send(mailbox.RESET)
        return seen()

    ruled.service.boxes.pending = between  # type: ignore[method-assign]
    ruled.round()
    assert (script.read() or [0])[0] == mailbox.RESET_ACK
    ruled.round(5)
    assert script.state.active
    assert script.ask(mailbox.SET_LPE, 1518)[0] == mailbox.SET_LPE | OK


def test_refusals_are_remembered_within_bounds() -> None:
    ruled = Ruled()
    script = ruled.vf(0, api=mailbox.API_1_3)
    for n in range(100):
        script.ask(0x100 + n)
    assert len(script.state.refusals) <= 16
    for _ in range(3):
        script.ask(mailbox.GET_RETA)
    assert ruled.service.replies.refused == 103


def test_requests_of_vfs_that_do_not_exist_are_none() -> None:
    ruled = Ruled(vfs=2)
    ruled.board[PFMBICR[0]] = 0xFFFF_FFFC
    ruled.round(3)
    assert ruled.service.messages == 0


def test_spoofed_frames_are_added_up() -> None:
    ruled = Ruled()
    for count in (3, 4):
        ruled.board[SSVPC] = count
        ruled.table.counters.collect()
    assert ruled.table.spoofed == 7, "a read clears the counter"
