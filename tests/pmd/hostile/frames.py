# SPDX-License-Identifier: BSD-3-Clause
"""Messages and frames as a hostile VF would send them: every type, right and wrong."""

from __future__ import annotations

from random import Random

from dataplane.pmd.datasheet import mailbox

__all__ = ["frame", "message"]

TYPES = [*mailbox.NAMES, 0x00, 0x07, 0x0F, 0x0101, 0xFFFF]
SIZES = [
    0,
    1,
    16,
    17,
    59,
    60,
    64,
    128,
    594,
    1513,
    1514,
    1515,
    1518,
    1522,
    2048,
    4000,
    9000,
    9710,
    9720,
    15868,
    16000,
]


def message(dice: Random, others: list[bytes]) -> list[int]:
    """The words of a message. others: the addresses of other functions."""
    kind, info = dice.choice(TYPES), dice.choice((0, 1, 2, 30, 31, 255))
    flags = dice.choice((0, 0, 0, 0, mailbox.CTS, mailbox.ACK, mailbox.NACK, 0xFF << 24))
    word = kind | (info << mailbox.INFO_SHIFT) * (dice.random() < 0.6) | flags
    if kind in (mailbox.SET_MAC_ADDR, mailbox.SET_MACVLAN):
        return [word, *mailbox.mac_words(_mac(dice, others))]
    if kind in (mailbox.SET_VLAN, mailbox.UPDATE_XCAST_MODE, mailbox.API_NEGOTIATE):
        return [
            word,
            dice.choice((0, 1, 2, 3, 4, 8, 100, 101, 4094, 4095, 0xFFFF_FFFF, dice.getrandbits(12))),
        ]
    if kind == mailbox.SET_LPE:
        return [word, dice.choice((0, 63, 64, 1518, 1519, 9018, 9728, 9729, 0xFFFF_FFFF))]
    return [word, *(dice.getrandbits(32) for _ in range(dice.randrange(mailbox.WORDS)))]


def frame(dice: Random, own: bytes, others: list[bytes]) -> bytes:
    """A frame from its own address or another's, to a known, an unknown or a group address; of any length, tagged or not."""
    to = dice.choice(
        [
            *others,
            b"\xff" * 6,
            bytes.fromhex("01005e000001"),
            bytes.fromhex("0180c2000001"),
            _mac(dice, others),
        ]
    )
    origin = own if dice.random() < 0.8 else _mac(dice, others)
    tag = (
        b""
        if dice.random() < 0.7
        else b"\x81\x00" + dice.choice((0, 100, 101, 7, 0x6064, 4095)).to_bytes(2, "big")
    )
    kind = dice.choice((b"\x08\x00", b"\x86\xdd", b"\x88\x08", b"\x88\xb5", b"\x00\x10", b"\x81\x00"))
    size = dice.choice(SIZES) if dice.random() < 0.3 else dice.randrange(60, 300)
    head = to + origin + tag + kind
    return (head + dice.randbytes(16) + bytes([dice.randrange(0x80)]) * size)[:size]


def _mac(dice: Random, others: list[bytes]) -> bytes:
    kind = dice.random()
    if kind < 0.5:
        return dice.choice(others)
    if kind < 0.6:
        return dice.choice((bytes(6), b"\xff" * 6, bytes.fromhex("01005e000001")))
    return bytes([0x02, 0xBB, 0, 0, 0, dice.randrange(256)])
