# SPDX-License-Identifier: BSD-3-Clause
"""Both ends of the mailbox: turn taking, messages that are lost, late or of the other's own, and waits that end."""

from __future__ import annotations

import pytest

from dataplane.errors import DeviceGone, DeviceTimeout
from dataplane.pmd.datasheet import CTRL_EXT, PFMBICR, PFVFLRE, mailbox
from dataplane.pmd.datasheet.vf import VFCTRL, VFMAILBOX
from dataplane.pmd.ixgbe.device_bar import VfBar
from dataplane.pmd.ixgbe.errors import MailboxSilent, PfWasReset
from dataplane.pmd.ixgbe.mailbox import PfMailboxes, VfMailbox
from dataplane.pmd.ixgbe.messages import Reply, SetLpe, SetVlan
from tests.pmd.ixgbe.fakeboard import Board


class Ends:
    """Two ends on one board. `answers` is what the PF replies with, one word list a request; none: it is silent."""

    def __init__(self) -> None:
        self.board = Board(vfs=20)
        self.pf = PfMailboxes(self.board.pf, 20)
        self.told: list[Reply] = []
        self.number = 17
        self.vf = VfMailbox(VfBar(self.board.vf(self.number)), self.told.append)
        self.answers: list[list[int]] = []
        self.asked: list[list[int]] = []
        self.board.pf.set(CTRL_EXT.PFRSTD)
        self.vf.forget()
        self.board.on_sleep.append(self.serve)

    def serve(self) -> None:
        if not self.answers or not self.pf.pending()[0] >> self.number & 1:
            return
        words = self.pf.take(self.number)
        assert words is not None
        self.asked.append(words)
        assert self.pf.put(self.number, self.answers.pop(0))


@pytest.fixture
def ends() -> Ends:
    return Ends()


OK = mailbox.ACK | mailbox.CTS


def test_a_request_and_its_answer(ends: Ends) -> None:
    ends.answers = [[mailbox.SET_VLAN | OK]]
    reply = ends.vf.request(SetVlan(7, True))
    assert reply.acknowledged
    assert reply.clear_to_send
    assert ends.asked[0][:2] == [mailbox.SET_VLAN | 1 << 16, 7]
    box = ends.board.boxes[ends.number]
    assert not box.vfu
    assert not box.pfu
    assert ends.pf.pending() == (0, 1 << ends.number), "and the VF has said that it has it"
    ends.pf.clear_ack(ends.number)
    assert ends.pf.pending() == (0, 0)


def test_only_one_side_has_the_memory(ends: Ends) -> None:
    vf, n = ends.vf.bar, ends.number
    vf.write(VFMAILBOX, VFMAILBOX.VFU.mask)
    assert not ends.pf.lock(n)
    assert ends.pf.take(n) is None
    assert not ends.pf.put(n, [1])
    ends.pf.release_by_force(n)
    assert ends.pf.lock(n)
    vf.write(VFMAILBOX, VFMAILBOX.VFU.mask)
    assert not vf.read(VFMAILBOX) & VFMAILBOX.VFU.mask
    ends.pf.unlock(n)
    vf.write(VFMAILBOX, VFMAILBOX.VFU.mask)
    assert vf.read(VFMAILBOX) & VFMAILBOX.VFU.mask


def test_a_pf_that_is_silent(ends: Ends) -> None:
    before = ends.board.time
    with pytest.raises(
        MailboxSilent, match=r"board0\.vf17: no answer to SET_LPE within 1 s.*PF's driver is not running"
    ):
        ends.vf.request(SetLpe(1518))
    assert ends.board.time - before == pytest.approx(1.0, rel=0.01)


def test_a_pf_that_keeps_the_memory(ends: Ends) -> None:
    ends.pf.lock(ends.number)
    with pytest.raises(
        DeviceTimeout, match=r"VFMAILBOX.VFU still 0 after 0.2 s on board0.vf17.*keeps the mailbox"
    ):
        ends.vf.request(SetLpe(1518), timeout=0.2)


def test_a_late_answer_to_something_else_is_not_taken_for_ours(ends: Ends) -> None:
    with pytest.raises(MailboxSilent):
        ends.vf.request(SetVlan(7, True), timeout=0.1)
    ends.answers = [[mailbox.SET_VLAN | OK]]
    ends.board.sleep(1e-3)  # it comes after all
    ends.answers = [[mailbox.SET_LPE | OK]]
    assert ends.vf.request(SetLpe(1518)).type == mailbox.SET_LPE


def test_the_pf_speaks_of_its_own(ends: Ends) -> None:
    ends.vf.poll()
    assert not ends.told
    ends.pf.put(ends.number, [mailbox.PF_CONTROL_MSG | mailbox.CTS])
    ends.vf.poll()
    assert [reply.clear_to_send for reply in ends.told] == [True]
    assert ends.pf.pending()[1] == 1 << ends.number
    ends.pf.put(ends.number, [mailbox.NACK])
    ends.vf.poll()
    assert not ends.told[1].clear_to_send


def test_a_message_of_the_pf_is_not_lost_under_a_request(ends: Ends) -> None:
    ends.pf.put(ends.number, [mailbox.PF_CONTROL_MSG])
    ends.answers = [[mailbox.SET_LPE | OK]]
    assert ends.vf.request(SetLpe(1518)).acknowledged
    assert len(ends.told) == 1
    ends.answers = [[mailbox.PF_CONTROL_MSG | mailbox.CTS]]  # and instead of an answer
    ends.board.on_sleep.append(lambda: ends.asked and ends.pf.put(ends.number, [mailbox.SET_LPE | OK]))
    assert ends.vf.request(SetLpe(1518)).type == mailbox.SET_LPE


def test_a_polite_message_lets_a_request_go_first(ends: Ends) -> None:
    ends.vf.bar.write(VFMAILBOX, VFMAILBOX.REQ.mask)
    assert not ends.pf.put(ends.number, [mailbox.PF_CONTROL_MSG], polite=True)
    assert not ends.board.boxes[ends.number].pfu
    assert ends.pf.pending()[0] == 1 << ends.number
    ends.pf.take(ends.number)
    assert ends.pf.put(ends.number, [mailbox.PF_CONTROL_MSG], polite=True)


def test_a_reset_of_the_pf_ends_a_request(ends: Ends) -> None:
    ends.board.on_sleep.append(ends.board.reset)
    with pytest.raises(PfWasReset, match="the PF was reset before it answered SET_LPE"):
        ends.vf.request(SetLpe(1518))
    assert ends.vf.pf_is_in_reset
    ends.board.on_sleep.clear()
    ends.board.pf.set(CTRL_EXT.PFRSTD)
    assert ends.vf.pf_was_reset
    assert ends.vf.pf_was_reset, "RSTD is kept until somebody has acted on it"
    ends.vf.forget()
    assert not ends.vf.pf_was_reset


def test_a_vf_that_is_gone(ends: Ends) -> None:
    ends.board.gone = True
    with pytest.raises(DeviceGone, match=r"board0\.vf17 is gone"):
        ends.vf.request(SetLpe(1518))
    with pytest.raises(DeviceGone):
        ends.vf.poll()


def test_resets_of_vfs_are_seen_one_by_one(ends: Ends) -> None:
    for n in (0, 17):
        ends.board.vf(n).write(VFCTRL, VFCTRL.RST.mask)
    assert ends.pf.was_reset() == 1 | 1 << 17
    ends.pf.clear_reset(17)
    assert ends.pf.was_reset() == 1
    assert ends.board[PFVFLRE[0]] == 1


def test_what_a_driver_before_has_left_is_forgotten(ends: Ends) -> None:
    ends.vf.bar.write(VFMAILBOX, VFMAILBOX.VFU.mask | VFMAILBOX.REQ.mask)
    ends.board.vf(3).write(VFCTRL, VFCTRL.RST.mask)
    ends.pf.clear()
    assert ends.pf.pending() == (0, 0)
    assert ends.pf.was_reset() == 0
    assert not ends.board.boxes[ends.number].vfu
    assert all(ends.board[PFMBICR[n]] == 0 for n in range(4))


def test_a_look_at_a_silent_pf_is_one_access(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a served NIC each is a message, and a VF that idles looks for ever. It sees a reset in that one, too."""
    reads: list[object] = []
    read = ends.vf.bar.read
    monkeypatch.setattr(ends.vf.bar, "read", lambda register: reads.append(register) or read(register))
    assert not ends.vf.poll()
    assert reads == [VFMAILBOX]
    ends.board.pf.clear(CTRL_EXT.PFRSTD)
    ends.board.pf.set(CTRL_EXT.PFRSTD)
    assert ends.vf.poll(), "RSTD"
    assert reads == [VFMAILBOX] * 2
    assert ends.vf.poll(), "a read has cleared it, and it counts until the VF begins anew"
