# SPDX-License-Identifier: BSD-3-Clause
"""The requests of a VF to its PF, a class for each message (datasheet 7.10.2.9; the words are agreed by drivers).

``SetVlan(7, add=True).encode()`` are the words for the mailbox, ``decode(words)`` makes the message of them again. No words
are too odd to decode: a VF may write any words, and the PF's service decides. Types and flags are in
`dataplane.pmd.datasheet.mailbox`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from dataplane.pmd.datasheet import limits, mailbox
from dataplane.port import format_mac

__all__ = [
    "ApiNegotiate",
    "FeaturesNegotiate",
    "GetLinkState",
    "GetPfLinkState",
    "GetQueues",
    "GetReta",
    "GetRssKey",
    "Message",
    "Other",
    "QueuesReply",
    "Reply",
    "Reset",
    "SetLpe",
    "SetMacvlan",
    "SetMulticast",
    "SetMac",
    "SetVlan",
    "UpdateXcast",
    "decode",
    "pack_reta",
    "size_of",
    "unpack_reta",
]

_RETA_PER_WORD, _RETA_BITS = 16, 2


class Message:
    """A request. `TYPE` is [15:0] of word 0, `info` [23:16]; `payload` the words behind it."""

    TYPE: ClassVar[int]
    SIZE: ClassVar[int] = 1  # words that a VF sends, and that a PF must look at

    @property
    def info(self) -> int:
        """Bits 23 to 16 of word 0."""
        return 0

    def payload(self) -> list[int]:
        """The words behind word 0."""
        return []

    def encode(self) -> list[int]:
        """The words, `SIZE` of them."""
        words = [self.TYPE | self.info << mailbox.INFO_SHIFT, *self.payload()]
        return words + [0] * (self.SIZE - len(words))

    @property
    def name(self) -> str:
        """As the datasheet's sources call it: SET_VLAN."""
        return mailbox.NAMES.get(self.TYPE, f"type {self.TYPE:#06x}")

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Reset(Message):
    """The VF was reset and starts again: asks for its MAC address."""

    TYPE = mailbox.RESET


@dataclass(frozen=True, slots=True)
class SetMac(Message):
    """My address is this one from now on."""

    TYPE, SIZE = mailbox.SET_MAC_ADDR, 3
    mac: bytes

    def payload(self) -> list[int]:
        """The words behind word 0."""
        return list(mailbox.mac_words(self.mac))

    def __str__(self) -> str:
        return f"{self.name} {format_mac(self.mac)}"


@dataclass(frozen=True, slots=True)
class SetMulticast(Message):
    """Send me the multicast frames whose addresses have these hashes (12 bits, see MCSTCTRL.MO), and no others."""

    TYPE, SIZE = mailbox.SET_MULTICAST, mailbox.WORDS
    hashes: tuple[int, ...]

    @property
    def info(self) -> int:
        """Bits 23 to 16 of word 0."""
        return len(self.hashes)

    def payload(self) -> list[int]:
        """The words behind word 0."""
        padded = [*self.hashes, 0]
        return [padded[n] | padded[n + 1] << 16 for n in range(0, len(self.hashes), 2)]


@dataclass(frozen=True, slots=True)
class SetVlan(Message):
    """Send me (no longer) the frames of a VLAN."""

    TYPE, SIZE = mailbox.SET_VLAN, 2
    vid: int
    add: bool

    @property
    def info(self) -> int:
        """Bits 23 to 16 of word 0."""
        return int(self.add)

    def payload(self) -> list[int]:
        """The words behind word 0."""
        return [self.vid]

    def __str__(self) -> str:
        return f"{self.name} {'add' if self.add else 'remove'} {self.vid}"


@dataclass(frozen=True, slots=True)
class SetLpe(Message):
    """I take frames of up to that many bytes, FCS included."""

    TYPE, SIZE = mailbox.SET_LPE, 2
    frame: int

    def payload(self) -> list[int]:
        """The words behind word 0."""
        return [self.frame]

    def __str__(self) -> str:
        return f"{self.name} {self.frame}"


@dataclass(frozen=True, slots=True)
class SetMacvlan(Message):
    """One more address for me. index 0: forget them all; 1: this one instead of all; above: this one too."""

    TYPE, SIZE = mailbox.SET_MACVLAN, 3
    index: int
    mac: bytes

    @property
    def info(self) -> int:
        """Bits 23 to 16 of word 0."""
        return self.index

    def payload(self) -> list[int]:
        """The words behind word 0."""
        return list(mailbox.mac_words(self.mac))

    def __str__(self) -> str:
        return f"{self.name} {self.index} {format_mac(self.mac)}"


@dataclass(frozen=True, slots=True)
class ApiNegotiate(Message):
    """Let us speak that version: an index of `mailbox.API_NAMES`."""

    TYPE, SIZE = mailbox.API_NEGOTIATE, 2
    version: int

    def payload(self) -> list[int]:
        """The words behind word 0."""
        return [self.version]

    def __str__(self) -> str:
        return f"{self.name} {api_name(self.version)}"


@dataclass(frozen=True, slots=True)
class GetQueues(Message):
    """How many queues do I have?"""

    TYPE, SIZE = mailbox.GET_QUEUES, mailbox.GET_QUEUES_WORDS


@dataclass(frozen=True, slots=True)
class GetReta(Message):
    """Which queue does each of the 128 values of the RSS hash mean?"""

    TYPE = mailbox.GET_RETA


@dataclass(frozen=True, slots=True)
class GetRssKey(Message):
    """What is the RSS key?"""

    TYPE = mailbox.GET_RSS_KEY


@dataclass(frozen=True, slots=True)
class UpdateXcast(Message):
    """Which frames for more than one: a value of `mailbox.XCAST_...`."""

    TYPE, SIZE = mailbox.UPDATE_XCAST_MODE, 2
    mode: int

    def payload(self) -> list[int]:
        """The words behind word 0."""
        return [self.mode]

    def __str__(self) -> str:
        return f"{self.name} {xcast_name(self.mode)}"


@dataclass(frozen=True, slots=True)
class GetLinkState(Message):
    """Has the administrator left my link on?"""

    TYPE, SIZE = mailbox.GET_LINK_STATE, 2


@dataclass(frozen=True, slots=True)
class GetPfLinkState(Message):
    """Speed and state of the PF's link; no 82599 PF answers it."""

    TYPE, SIZE = mailbox.GET_PF_LINK_STATE, 3


@dataclass(frozen=True, slots=True)
class FeaturesNegotiate(Message):
    """Which of these features do we both have?"""

    TYPE, SIZE = mailbox.FEATURES_NEGOTIATE, 2
    features: int

    def payload(self) -> list[int]:
        """The words behind word 0."""
        return [self.features]


@dataclass(frozen=True, slots=True)
class Other(Message):
    """A message of an unknown type."""

    word: int

    @property
    def name(self) -> str:
        """The type, by name."""
        return mailbox.describe(self.word)

    def encode(self) -> list[int]:
        """The words."""
        return [self.word]


def _mac(words: Sequence[int]) -> bytes:
    return mailbox.words_mac(words[1], words[2])


def _hashes(words: Sequence[int]) -> tuple[int, ...]:
    count = min(_info(words), mailbox.MULTICAST_HASHES_MAX)
    return tuple(words[1 + n // 2] >> 16 * (n & 1) & limits.MULTICAST_HASHES - 1 for n in range(count))


def _info(words: Sequence[int]) -> int:
    return (words[0] & mailbox.INFO_MASK) >> mailbox.INFO_SHIFT


_DECODERS: dict[int, Callable[[Sequence[int]], Message]] = {
    mailbox.RESET: lambda words: Reset(),
    mailbox.SET_MAC_ADDR: lambda words: SetMac(_mac(words)),
    mailbox.SET_MULTICAST: lambda words: SetMulticast(_hashes(words)),
    mailbox.SET_VLAN: lambda words: SetVlan(words[1] & limits.VLANS - 1, bool(_info(words))),
    mailbox.SET_LPE: lambda words: SetLpe(words[1]),
    mailbox.SET_MACVLAN: lambda words: SetMacvlan(_info(words), _mac(words)),
    mailbox.API_NEGOTIATE: lambda words: ApiNegotiate(words[1]),
    mailbox.GET_QUEUES: lambda words: GetQueues(),
    mailbox.GET_RETA: lambda words: GetReta(),
    mailbox.GET_RSS_KEY: lambda words: GetRssKey(),
    mailbox.UPDATE_XCAST_MODE: lambda words: UpdateXcast(words[1]),
    mailbox.GET_LINK_STATE: lambda words: GetLinkState(),
    mailbox.GET_PF_LINK_STATE: lambda words: GetPfLinkState(),
    mailbox.FEATURES_NEGOTIATE: lambda words: FeaturesNegotiate(words[1]),
}


def decode(words: Sequence[int]) -> Message:
    """The message in the mailbox's 16 words. Never raises: what is not known is `Other`."""
    known = _DECODERS.get(words[0] & mailbox.TYPE_MASK)
    return known(words) if known else Other(words[0])


_SIZES = {
    kind.TYPE: kind.SIZE
    for kind in (
        Reset, SetMac, SetVlan, SetLpe, SetMacvlan, ApiNegotiate, GetReta, GetRssKey, UpdateXcast, GetLinkState,
        GetPfLinkState, FeaturesNegotiate,
    )
} | {mailbox.GET_QUEUES: 1}  # fmt: skip


def size_of(word: int) -> int:
    """How many words of the mailbox a message has that begins with this one; 16 for a type that is not known."""
    if word & mailbox.TYPE_MASK == mailbox.SET_MULTICAST:
        return 1 + -(-min(_info([word]), mailbox.MULTICAST_HASHES_MAX) // 2)
    return _SIZES.get(word & mailbox.TYPE_MASK, mailbox.WORDS)


# ---- replies --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reply:
    """What the PF wrote: the words of an answer, or of a message of its own (PF_CONTROL_MSG)."""

    words: tuple[int, ...]

    @property
    def type(self) -> int:
        """Bits 15 to 0 of word 0."""
        return self.words[0] & mailbox.TYPE_MASK

    @property
    def acknowledged(self) -> bool:
        """Whether the PF grants the request (ACK)."""
        return bool(self.words[0] & mailbox.ACK)

    @property
    def refused(self) -> bool:
        """Whether the PF refuses the request (NACK)."""
        return bool(self.words[0] & mailbox.NACK)

    @property
    def clear_to_send(self) -> bool:
        """Whether the PF knows the VF (CTS)."""
        return bool(self.words[0] & mailbox.CTS)

    @property
    def mac(self) -> bytes:
        """The address in a reply to RESET."""
        return mailbox.words_mac(self.words[1], self.words[2])

    def __str__(self) -> str:
        return mailbox.describe(self.words[0])


@dataclass(frozen=True, slots=True)
class QueuesReply:
    """The reply to GET_QUEUES.

    strip: frames come with the PF's tag, which is to be taken off; default: the queue (or class) of plain frames.
    """

    tx: int
    rx: int
    strip: int
    default: int

    @classmethod
    def of(cls, words: Sequence[int], most: int) -> QueuesReply:
        """From the words of the reply, made sensible: counts from 1 to `most`, as every VF driver does it."""
        tx, rx, strip, default = words[1:5]
        tx = tx if 0 < tx <= most else most
        rx = rx if 0 < rx <= most else most
        return cls(tx, rx, strip if strip <= rx else 1, default if default < tx else 0)

    def payload(self) -> list[int]:
        """The words behind word 0."""
        return [self.tx, self.rx, self.strip, self.default]


def pack_reta(entries: Sequence[int]) -> list[int]:
    """128 queue numbers of two bits as the eight words of the reply to GET_RETA."""
    return [
        sum((entry & 3) << _RETA_BITS * i for i, entry in enumerate(entries[n : n + _RETA_PER_WORD]))
        for n in range(0, limits.RETA_SIZE, _RETA_PER_WORD)
    ]


def unpack_reta(words: Sequence[int]) -> list[int]:
    """The queue numbers in those eight words."""
    return [
        words[n // _RETA_PER_WORD] >> _RETA_BITS * (n % _RETA_PER_WORD) & 3 for n in range(limits.RETA_SIZE)
    ]


def api_name(version: int) -> str:
    """ "1.3" for 4."""
    known = 0 <= version < len(mailbox.API_NAMES)
    return mailbox.API_NAMES[version] if known else f"number {version}"


def xcast_name(mode: int) -> str:
    """ "multi" for 1."""
    names = ("none", "multi", "allmulti", "promisc")
    return names[mode] if 0 <= mode < len(names) else f"mode {mode}"
