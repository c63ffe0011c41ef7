# SPDX-License-Identifier: BSD-3-Clause
"""Messages of PF and VF through the mailbox (datasheet 7.10.2.9; drivers define the words).

Word 0 of a message: [15:0] type, [23:16] info (a count, an index, a flag), [29] CTS, [30] NACK, [31] ACK.
"""

from __future__ import annotations

WORDS = 16  # in the memory that the two share

TYPE_MASK = 0x0000_FFFF
INFO_MASK, INFO_SHIFT = 0x00FF_0000, 16
CTS, NACK, ACK = 1 << 29, 1 << 30, 1 << 31  # clear to send (from the PF); refused; done

# VF to PF
RESET, SET_MAC_ADDR, SET_MULTICAST, SET_VLAN, SET_LPE, SET_MACVLAN = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06
API_NEGOTIATE, GET_QUEUES, GET_RETA, GET_RSS_KEY, UPDATE_XCAST_MODE = 0x08, 0x09, 0x0A, 0x0B, 0x0C
IPSEC_ADD, IPSEC_DEL, GET_LINK_STATE, GET_PF_LINK_STATE, FEATURES_NEGOTIATE = 0x0D, 0x0E, 0x10, 0x11, 0x12
# PF to VF
PF_CONTROL_MSG = 0x0100

NAMES = {
    RESET: "RESET",
    SET_MAC_ADDR: "SET_MAC_ADDR",
    SET_MULTICAST: "SET_MULTICAST",
    SET_VLAN: "SET_VLAN",
    SET_LPE: "SET_LPE",
    SET_MACVLAN: "SET_MACVLAN",
    API_NEGOTIATE: "API_NEGOTIATE",
    GET_QUEUES: "GET_QUEUES",
    GET_RETA: "GET_RETA",
    GET_RSS_KEY: "GET_RSS_KEY",
    UPDATE_XCAST_MODE: "UPDATE_XCAST_MODE",
    IPSEC_ADD: "IPSEC_ADD",
    IPSEC_DEL: "IPSEC_DEL",
    GET_LINK_STATE: "GET_LINK_STATE",
    GET_PF_LINK_STATE: "GET_PF_LINK_STATE",
    FEATURES_NEGOTIATE: "FEATURES_NEGOTIATE",
    PF_CONTROL_MSG: "PF_CONTROL_MSG",
}

# Words in a message and in its reply, the first included
RESET_REPLY_WORDS = 4
GET_QUEUES_WORDS = 5
GET_RETA_REPLY_WORDS = 9
GET_RSS_KEY_REPLY_WORDS = 11
MULTICAST_HASHES_MAX = 30
# Words of the PF's replies; types that are not here have 16.
REPLY_WORDS = dict.fromkeys(NAMES, 2) | {
    RESET: RESET_REPLY_WORDS,
    GET_QUEUES: GET_QUEUES_WORDS,
    GET_RETA: GET_RETA_REPLY_WORDS,
    GET_RSS_KEY: GET_RSS_KEY_REPLY_WORDS,
    GET_PF_LINK_STATE: 3,
    IPSEC_ADD: WORDS,
    IPSEC_DEL: WORDS,
}

# The reply to RESET is compared whole: it has no CTS
RESET_ACK, RESET_NACK = RESET | ACK, RESET | NACK

# Word 1 of API_NEGOTIATE: an index, not the digits of the version
API_1_0, API_2_0, API_1_1, API_1_2, API_1_3, API_1_4, API_1_5, API_1_6, API_1_7 = range(9)
API_NAMES = ("1.0", "2.0", "1.1", "1.2", "1.3", "1.4", "1.5", "1.6", "1.7")

# Word 1 of UPDATE_XCAST_MODE
XCAST_NONE, XCAST_MULTI, XCAST_ALLMULTI, XCAST_PROMISC = range(4)

# Words of the reply to GET_QUEUES
QUEUES_TX, QUEUES_RX, QUEUES_VLAN, QUEUES_DEFAULT = 1, 2, 3, 4

# How long either side waits, in seconds
LOCK_TIMEOUT = REPLY_TIMEOUT = 1.0
POLL_INTERVAL = 500e-6
RESET_SETTLE = 50e-3  # after VFCTRL.RST, and as long again for RSTI and RSTD
RESET_REPLY_DELAY = 10e-3


def mac_words(mac: bytes) -> tuple[int, int]:
    """A MAC address as words 1 and 2 of a message: its bytes in the order of memory."""
    return int.from_bytes(mac[:4], "little"), int.from_bytes(mac[4:6], "little")


def words_mac(low: int, high: int) -> bytes:
    """The MAC address in words 1 and 2."""
    return low.to_bytes(4, "little") + (high & 0xFFFF).to_bytes(2, "little")


def describe(word: int) -> str:
    """Word 0 in words: ``SET_VLAN info=1 ACK CTS``."""
    said = [NAMES.get(word & TYPE_MASK, f"type {word & TYPE_MASK:#06x}")]
    if word & INFO_MASK:
        said.append(f"info={(word & INFO_MASK) >> INFO_SHIFT}")
    return " ".join(
        said + [name for name, flag in (("ACK", ACK), ("NACK", NACK), ("CTS", CTS)) if word & flag]
    )
