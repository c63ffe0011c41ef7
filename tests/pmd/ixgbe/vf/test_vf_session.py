# SPDX-License-Identifier: BSD-3-Clause
"""The VF's side under PFs that we did not write (their answers are played), and its counters, which wrap."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataplane.pmd.datasheet import (
    CTRL_EXT,
    PVFGORC_LSB,
    PVFGORC_MSB,
    PVFGOTC_LSB,
    PVFGOTC_MSB,
    PVFGPRC,
    PVFGPTC,
    mailbox,
)
from dataplane.pmd.ixgbe.errors import MailboxRefused, PfNotUp
from dataplane.pmd.ixgbe.mailbox import PfMailboxes
from dataplane.pmd.ixgbe.vf.session import VERSIONS, VfSession
from dataplane.pmd.ixgbe.vf_counters import VfCounters
from tests.pmd.ixgbe.fakeboard import Board

OK, NO = mailbox.ACK | mailbox.CTS, mailbox.NACK | mailbox.CTS
MAC = bytes.fromhex("021122334455")
OTHER = bytes.fromhex("0211223344aa")
Play = Callable[[list[int]], list[int]]


class Played:
    """A PF whose answers are a function of the request."""

    def __init__(self, play: Play) -> None:
        self.board, self.play = Board(), play
        self.boxes = PfMailboxes(self.board.pf, 4)
        self.board.pf.set(CTRL_EXT.PFRSTD)
        self.asked: list[int] = []
        self.board.on_sleep.append(self.serve)
        self.session = VfSession(self.board.vf(0))

    def serve(self) -> None:
        if self.boxes.pending()[0] & 1:
            words = self.boxes.take(0)
            if words is not None:
                self.asked.append(words[0] & mailbox.TYPE_MASK)
                self.boxes.put(0, self.play(words))


def dpdk(api: int = mailbox.API_1_3) -> Play:
    """One word for an answer; GET_LINK_STATE and the RSS queries are unknown to it; w4 of GET_QUEUES is the first queue."""

    def play(words: list[int]) -> list[int]:
        kind = words[0] & mailbox.TYPE_MASK
        if kind == mailbox.RESET:
            return [mailbox.RESET_ACK, *mailbox.mac_words(MAC), 0]
        if kind == mailbox.API_NEGOTIATE:
            return [words[0] | (OK if VERSIONS.index(words[1]) >= VERSIONS.index(api) else NO)]
        if kind == mailbox.GET_QUEUES:
            return [words[0] | OK, 2, 2, 0, 6]
        if kind in (mailbox.GET_LINK_STATE, mailbox.GET_RETA):
            return [words[0] | NO]
        return [words[0] | OK]

    return play


def test_dpdks_pf() -> None:
    played = Played(dpdk())
    session = played.session
    session.connect(0)
    assert (session.mac, session.api) == (MAC, mailbox.API_1_3)
    assert (session.queues.rx, session.queues.tx, session.queues.default) == (2, 2, 0)
    assert session.enabled, "a PF that does not tell has left the link on"
    assert session.set_xcast(mailbox.XCAST_ALLMULTI) == mailbox.XCAST_ALLMULTI, "its word 1 is our own"
    assert played.asked[:3] == [mailbox.RESET, mailbox.API_NEGOTIATE, mailbox.GET_QUEUES]


@pytest.mark.parametrize("api", VERSIONS)
def test_negotiation_downward(api: int) -> None:
    played = Played(dpdk(api))
    played.session.connect(0)
    assert played.session.api == api
    assert played.asked.count(mailbox.API_NEGOTIATE) == VERSIONS.index(api) + 1
    assert (mailbox.GET_QUEUES in played.asked) == (api != mailbox.API_1_0)
    assert (mailbox.GET_LINK_STATE in played.asked) == (api in (mailbox.API_1_2, mailbox.API_1_3))
    if api == mailbox.API_1_0:
        assert played.session.queues.rx == 1
    if api in (mailbox.API_1_0, mailbox.API_1_1):
        assert played.session.set_xcast(mailbox.XCAST_ALLMULTI) == mailbox.XCAST_MULTI


def test_a_pf_that_leaves_the_address_to_the_vf() -> None:
    """Linux' PF without an administrator's word: RESET is answered by NACK, and the VF makes its own."""
    plain = dpdk()
    played = Played(
        lambda words: [mailbox.RESET_NACK, 0, 0, 0] if words[0] == mailbox.RESET else plain(words)
    )
    played.session.connect(0)
    assert played.session.mac[0] & 3 == 2
    assert mailbox.SET_MAC_ADDR in played.asked
    chosen = played.session.mac
    played.session.connect(0)
    assert played.session.mac == chosen, "also under a PF that has forgotten it"


def test_an_address_that_the_pf_no_longer_grants() -> None:
    """Its administrator has chosen one since: that is the VF's then, whatever was set before."""
    plain = dpdk()
    granted = True

    def play(words: list[int]) -> list[int]:
        refused = words[0] & mailbox.TYPE_MASK == mailbox.SET_MAC_ADDR and not granted
        return [words[0] | NO] if refused else plain(words)

    played = Played(play)
    played.session.wanted.mac = OTHER
    played.session.connect(0)
    assert played.session.mac == OTHER
    granted = False
    played.session.connect(0)
    assert played.session.mac == MAC


@pytest.mark.parametrize(("hash_type", "expected"), [(0, 0xFB3), (1, 0xF66), (2, 0xECD), (3, 0xB34)])
def test_the_hash_that_the_pf_names(hash_type: int, expected: int) -> None:
    plain = dpdk()

    def play(words: list[int]) -> list[int]:
        reply = plain(words)
        return [*reply[:3], hash_type] if words[0] == mailbox.RESET else reply

    played = Played(play)
    played.session.connect(0)
    assert played.session.hashes((bytes.fromhex("01005e0034fb"),)) == (expected,)


def test_an_answer_that_is_none() -> None:
    plain = dpdk()
    played = Played(
        lambda words: [mailbox.RESET | OK, 0, 0, 0] if words[0] == mailbox.RESET else plain(words)
    )
    with pytest.raises(PfNotUp, match="an answer to RESET that is none: 0xa0000001"):
        played.session.connect(0)


def test_a_frame_size_that_is_refused() -> None:
    plain = dpdk()
    played = Played(lambda words: [words[0] | NO] if words[0] & 0xFFFF == mailbox.SET_LPE else plain(words))
    with pytest.raises(MailboxRefused, match="refuses SET_LPE 1518"):
        played.session.connect(0)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(*[st.integers(0, (1 << 32) - 1)] * 2, *[st.integers(0, (1 << 36) - 1)] * 2), min_size=1
    )
)
def test_counters_that_wrap(steps: list[tuple[int, int, int, int]]) -> None:
    """Whatever is added between two looks, less than a whole turn, is counted once."""
    board = Board()
    at = [0xFFFF_FFF0, 5, 0xF_FFFF_FF00, 7]
    totals = [0] * 4
    counters = VfCounters(board.vf(0), lambda: False)

    def show() -> None:
        board[PVFGPRC[0]], board[PVFGPTC[0]] = at[0], at[1]
        board[PVFGORC_LSB[0]], board[PVFGORC_MSB[0]] = at[2] & 0xFFFF_FFFF, at[2] >> 32
        board[PVFGOTC_LSB[0]], board[PVFGOTC_MSB[0]] = at[3] & 0xFFFF_FFFF, at[3] >> 32

    show()
    counters.collect()
    assert not any(counters.snapshot().values()), "nothing counts before there is an agreement"
    counters.rebase()
    for step in steps:
        for n, (added, bits) in enumerate(zip(step, (32, 32, 36, 36), strict=True)):
            at[n] = at[n] + added & (1 << bits) - 1
            totals[n] += added
        show()
        counters.collect()
    names = ("rx_good_packets", "tx_good_packets", "rx_good_bytes", "tx_good_bytes")
    assert [counters.snapshot()[name] for name in names] == totals


def test_counters_over_a_reset_of_the_pf() -> None:
    board, reset = Board(), False
    counters = VfCounters(board.vf(0), lambda: reset)
    counters.rebase()
    board[PVFGPRC[0]] = 1000
    counters.collect()
    board[PVFGPRC[0]] = 3  # the reset has set it to something
    reset = True
    counters.collect()
    assert counters.snapshot()["rx_good_packets"] == 1000, "that would have been four milliards"
    reset = False
    counters.rebase()
    board[PVFGPRC[0]] = 13
    counters.collect()
    assert counters.snapshot()["rx_good_packets"] == 1010
