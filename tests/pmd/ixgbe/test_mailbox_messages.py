# SPDX-License-Identifier: BSD-3-Clause
"""The words of the mailbox: each message is what it was after encoding and decoding, and no words are too odd to decode."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataplane.pmd.datasheet import mailbox
from dataplane.pmd.ixgbe.messages import (
    ApiNegotiate,
    FeaturesNegotiate,
    GetLinkState,
    GetPfLinkState,
    GetQueues,
    GetReta,
    GetRssKey,
    Message,
    Other,
    QueuesReply,
    Reply,
    Reset,
    SetLpe,
    SetMac,
    SetMacvlan,
    SetMulticast,
    SetVlan,
    UpdateXcast,
    decode,
    pack_reta,
    unpack_reta,
)

word = st.integers(0, 0xFFFF_FFFF)
mac = st.binary(min_size=6, max_size=6)
messages: st.SearchStrategy[Message] = st.one_of(
    st.sampled_from([Reset(), GetQueues(), GetReta(), GetRssKey(), GetLinkState(), GetPfLinkState()]),
    st.builds(SetMac, mac),
    st.builds(SetMulticast, st.lists(st.integers(0, 0xFFF), max_size=30).map(tuple)),
    st.builds(SetVlan, st.integers(0, 4095), st.booleans()),
    st.builds(SetLpe, word),
    st.builds(SetMacvlan, st.integers(0, 255), mac),
    st.builds(ApiNegotiate, word),
    st.builds(UpdateXcast, word),
    st.builds(FeaturesNegotiate, word),
)


def memory(words: list[int], rubbish: int = 0) -> list[int]:
    """The mailbox after these words were written over something else."""
    return words + [rubbish] * (mailbox.WORDS - len(words))


@given(messages, word)
def test_there_and_back(message: Message, rubbish: int) -> None:
    words = message.encode()
    assert len(words) == message.SIZE <= mailbox.WORDS
    assert decode(memory(words, rubbish)) == message


@given(st.lists(word, min_size=16, max_size=16))
def test_any_words_decode(words: list[int]) -> None:
    message = decode(words)
    assert message.name
    assert str(message)
    if not isinstance(message, Other):
        # What can be decoded is understood: bits without a meaning aside, it is the same message.
        assert decode(memory(message.encode(), words[15])) == message


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (Reset(), [0x01]),
        (SetMac(bytes.fromhex("021122334455")), [0x02, 0x33221102, 0x5544]),
        (SetMulticast((0x123, 0xABC, 0xFFF)), [0x00030003, 0x0ABC0123, 0x0FFF] + [0] * 13),
        (SetVlan(100, True), [0x00010004, 100]),
        (SetVlan(100, False), [0x04, 100]),
        (SetLpe(9018), [0x05, 9018]),
        (SetMacvlan(2, bytes.fromhex("020000000001")), [0x00020006, 0x00000002, 0x0100]),
        (ApiNegotiate(mailbox.API_1_3), [0x08, 4]),
        (GetQueues(), [0x09, 0, 0, 0, 0]),
        (GetReta(), [0x0A]),
        (GetRssKey(), [0x0B]),
        (UpdateXcast(2), [0x0C, 2]),
        (GetLinkState(), [0x10, 0]),
        (GetPfLinkState(), [0x11, 0, 0]),
        (FeaturesNegotiate(5), [0x12, 5]),
    ],
    ids=lambda value: str(value) if isinstance(value, Message) else "",
)
def test_words_as_other_drivers_write_them(message: Message, words: list[int]) -> None:
    assert message.encode() == words


def test_more_hashes_than_fit_are_cut() -> None:
    words = memory([mailbox.SET_MULTICAST | 255 << mailbox.INFO_SHIFT], 0xF123_F456)
    message = decode(words)
    assert isinstance(message, SetMulticast)
    assert message.hashes == (0x456, 0x123) * 15, "30 of 12 bits"


@given(st.binary(min_size=128, max_size=128).map(lambda drawn: [byte & 3 for byte in drawn]))
def test_the_redirection_table_in_eight_words(entries: list[int]) -> None:
    words = pack_reta(entries)
    assert len(words) == mailbox.GET_RETA_REPLY_WORDS - 1
    assert unpack_reta(words) == entries
    assert words[0] & 0xF == entries[0] | entries[1] << 2, "the first entry lies lowest"


@given(st.lists(word, min_size=4, max_size=4), st.integers(1, 8))
def test_counts_of_queues_are_made_sensible(payload: list[int], most: int) -> None:
    queues = QueuesReply.of([0, *payload], most)
    assert 1 <= queues.tx <= most
    assert 1 <= queues.rx <= most
    assert 0 <= queues.default < queues.tx
    assert 0 <= queues.strip <= queues.rx
    assert QueuesReply.of([0, *queues.payload()], most) == queues


def test_a_reply_says_what_it_is() -> None:
    reply = Reply((mailbox.RESET_ACK, 0x33221102, 0x5544, 0))
    assert reply.acknowledged
    assert not reply.refused
    assert not reply.clear_to_send
    assert reply.mac.hex() == "021122334455"
    assert str(Reply((mailbox.SET_VLAN | mailbox.NACK | mailbox.CTS,))) == "SET_VLAN NACK CTS"
