# SPDX-License-Identifier: BSD-3-Clause
"""The PF's replies to messages of VFs (datasheet 7.10.2.9). `VfService` exchanges them."""

from __future__ import annotations

from collections.abc import Callable

from dataplane.pmd.datasheet import limits, mailbox
from dataplane.pmd.ixgbe.errors import VfRequestRefused
from dataplane.pmd.ixgbe.messages import (
    ApiNegotiate,
    FeaturesNegotiate,
    GetLinkState,
    GetQueues,
    GetReta,
    GetRssKey,
    Message,
    QueuesReply,
    Reset,
    SetLpe,
    SetMac,
    SetMacvlan,
    SetMulticast,
    SetVlan,
    UpdateXcast,
    api_name,
    decode,
    pack_reta,
)
from dataplane.pmd.ixgbe.sriov.state import VfState
from dataplane.pmd.ixgbe.sriov.table import VfTable
from dataplane.pmd.ixgbe.steering.rss import read_key, read_table

__all__ = ["SPOKEN", "VfReplies"]

SPOKEN = (
    mailbox.API_1_0,
    mailbox.API_1_1,
    mailbox.API_1_2,
    mailbox.API_1_3,
    mailbox.API_1_6,
    mailbox.API_1_7,
)
"""The versions that this PF speaks. 2.0 is another protocol, 1.4 and 1.5 are for chips with IPsec and for the E610."""

# The first version that has a request.
_SINCE: dict[type[Message], int] = {
    GetQueues: mailbox.API_1_1,
    GetReta: mailbox.API_1_2,
    GetRssKey: mailbox.API_1_2,
    UpdateXcast: mailbox.API_1_2,
    GetLinkState: mailbox.API_1_2,
    FeaturesNegotiate: mailbox.API_1_7,
}


class VfReplies:
    """Does what VFs ask for, as far as `table` allows it. refused: how many requests were not granted."""

    def __init__(self, table: VfTable) -> None:
        self.table, self.bar = table, table.bar
        self.refused = 0
        self._handlers: dict[type[Message], Callable[[VfState, Message], list[int]]] = {
            SetMac: self._set_mac,
            SetMulticast: self._set_multicast,
            SetVlan: self._set_vlan,
            SetLpe: self._set_lpe,
            SetMacvlan: self._set_macvlan,
            ApiNegotiate: self._negotiate,
            GetQueues: self._get_queues,
            GetReta: self._get_reta,
            GetRssKey: self._get_rss_key,
            UpdateXcast: self._update_xcast,
            GetLinkState: self._get_link_state,
            FeaturesNegotiate: self._features,
        }

    def to(self, state: VfState, words: list[int]) -> list[int] | None:
        """The words to answer with; None: no answer is due."""
        word = words[0]
        if word & (mailbox.ACK | mailbox.NACK):
            return None  # an answer of our own that was never read
        message = decode(words)
        if isinstance(message, Reset):
            if word != mailbox.RESET:
                self._note(state, message, "it has bits beside its type")
                return [word & mailbox.TYPE_MASK | mailbox.NACK]
            mac = self.table.begin(state)
            return [mailbox.RESET_ACK, *mailbox.mac_words(mac), 0]  # MCSTCTRL.MO is 0
        if not state.clear_to_send:
            self._note(state, message, "it has not begun with RESET")
            return [word & mailbox.TYPE_MASK | mailbox.NACK]
        head = word & (mailbox.TYPE_MASK | mailbox.INFO_MASK)
        try:
            since = _SINCE.get(type(message), mailbox.API_1_0)
            if state.api < since:
                raise VfRequestRefused(
                    f"it is known from API {api_name(since)} on, and the VF speaks {api_name(state.api)}"
                )
            handler = self._handlers.get(type(message))
            if handler is None:
                raise VfRequestRefused("an 82599's PF has no such service")
            payload = handler(state, message)
        except VfRequestRefused as why:
            self._note(state, message, str(why))
            return [head | mailbox.NACK | mailbox.CTS, *why.words]
        return [head | mailbox.ACK | mailbox.CTS, *payload]

    def _note(self, state: VfState, message: Message, why: str) -> None:
        self.refused += 1
        state.refused(str(message), why)

    def _set_mac(self, state: VfState, message: Message) -> list[int]:
        assert isinstance(message, SetMac)
        self.table.give_mac(state, message.mac)
        return []

    def _set_multicast(self, state: VfState, message: Message) -> list[int]:
        assert isinstance(message, SetMulticast)
        self.table.give_hashes(state, message.hashes)
        return []

    def _set_vlan(self, state: VfState, message: Message) -> list[int]:
        assert isinstance(message, SetVlan)
        self.table.give_vlan(state, message.vid, message.add)
        return []

    def _set_lpe(self, state: VfState, message: Message) -> list[int]:
        assert isinstance(message, SetLpe)
        self.table.give_frame(state, message.frame)
        return []

    def _set_macvlan(self, state: VfState, message: Message) -> list[int]:
        assert isinstance(message, SetMacvlan)
        self.table.give_macvlan(state, message.index, message.mac)
        return []

    def _negotiate(self, state: VfState, message: Message) -> list[int]:
        assert isinstance(message, ApiNegotiate)
        if message.version not in SPOKEN:
            raise VfRequestRefused(f"this PF speaks {', '.join(map(api_name, SPOKEN))}")
        state.api = message.version
        return [message.version]

    def _get_queues(self, state: VfState, message: Message) -> list[int]:
        queues = self.table.layout.queues
        return QueuesReply(queues, queues, int(state.settings.port_vlan), 0).payload()

    def _get_reta(self, state: VfState, message: Message) -> list[int]:
        self._may_query(state)
        return pack_reta([entry & 3 for entry in read_table(self.bar)])

    def _get_rss_key(self, state: VfState, message: Message) -> list[int]:
        self._may_query(state)
        key = read_key(self.bar)
        return [int.from_bytes(key[n : n + 4], "little") for n in range(0, limits.RSS_KEY_SIZE, 4)]

    def _may_query(self, state: VfState) -> None:
        if not state.settings.query_rss:
            raise VfRequestRefused("the administrator has not allowed it: query_rss is off")

    def _update_xcast(self, state: VfState, message: Message) -> list[int]:
        assert isinstance(message, UpdateXcast)
        return [self.table.give_xcast(state, message.mode)]

    def _get_link_state(self, state: VfState, message: Message) -> list[int]:
        return [int(self.table.link_enabled(state))]

    def _features(self, state: VfState, message: Message) -> list[int]:
        return [0]  # this PF has none of them
